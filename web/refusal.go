package web

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/registrykit/registry/api/client"
)

// refusal is what a page says for an error of the API about what somebody has typed.
type refusal struct {
	// code is the code of the error, and part is in its detail.
	code, part string
	// field is the field that is wrong, or "" for the form as a whole.
	field string
	// text is in English. Its "%s" are replaced by the numbers of the detail.
	text string
}

// refusals returns all refusals. The first one that matches counts.
func refusals() []refusal {
	const invalid, taken, limit, used = "INVALID", "TAKEN", "LIMIT", "IN_USE"
	return []refusal{
		{invalid, "printable characters", "name", "A name has %s to %s characters, and none that cannot be seen."},
		{invalid, "a name has", "name",
			"A name has %s to %s lower-case letters, digits and single hyphens between them, and begins with a letter."},
		{invalid, "password has at least", "password", "A password has at least %s characters."},
		{invalid, "password has at most", "password", "A password has at most %s bytes."},
		{invalid, "without control characters", "password", "A password has no control characters."},
		{invalid, "is no password", "password", "This is a token. Choose a password of your own."},
		{invalid, "known to others", "password", "Others know this password. Choose another one."},
		{invalid, "password is", "password", "Type a password."},
		{invalid, "full name and the email", "fullName", "The full name and the email have at most %s bytes each."},
		{invalid, "a visibility is", "visibility", "Choose private or public."},
		{invalid, "description must be", "description", "A description has at most %s bytes on one line."},
		{invalid, "reason must have", "reason", "A reason has at most %s characters on one line."},
		{invalid, "owner is not a user", "owner", "There is no user of this name."},
		{invalid, "owner is required", "owner", "Type the name of a user."},
		{invalid, "end in the future", "expires", "Choose a time in the future."},
		{invalid, "grants, at most", "", "There are %s grants, and at most %s are possible."},
		{invalid, "URL has at most", "url", "An address has at most %s bytes."},
		{invalid, "URL has another host", "authorization",
			"The receiver is another one now. Type the authorization again, or remove it."},
		{invalid, "the URL", "url",
			"Type an address that begins with https:// or http://, without a user and without a fragment after #."},
		{invalid, "port of the URL", "url", "The port of the address is not one of 1 to 65535."},
		{invalid, "value of Authorization has at most", "authorization", "The authorization has at most %s bytes."},
		{invalid, "events of pulls", "actions", "The registry does not store the events of pulls."},
		{invalid, "Repositories[", "repositories", "One of the lines is no pattern. Write one pattern in each line."},
		{invalid, "Tags[", "tags", "One of the lines is no pattern. Write one pattern in each line."},
		{invalid, "at most 50 patterns", "", "There are too many patterns."},
		{invalid, "longer than any name", "q", "No name is as long as this."},
		{taken, "it is reserved", "name", "This name is reserved."},
		{taken, "until recently", "name", "Another account had this name until recently, so it is not free yet."},
		{taken, "repositories below it", "name", "There are repositories below this name."},
		{taken, "group of the owners", "name", "The group of the owners has this name."},
		{taken, "looks like it", "name", "This name is taken, or looks like a name that is."},
		{taken, "", "name", "This name is taken."},
		{limit, "organisations", "user", "The user is in %s organisations already, and no more are possible."},
		{limit, "teams", "user", "The user is in %s teams already, and no more are possible."},
		{limit, "former names", "name", "An account has at most %s former names. Release one of them first."},
		{limit, "secrets", "", "There are %s tokens already, and no more are possible. Revoke one that is not in use."},
		{limit, "webhooks", "", "At most %s webhooks are possible. Delete one that is not in use."},
		{limit, "", "", "There are %s already, and no more are possible."},
		{used, "were deleted, and there are more", "",
			"%s repositories were deleted, and there are more. Send the form again."},
		{used, "repositories below", "",
			"There are repositories below this name. Delete them first, or say what to do with them."},
		{used, "rotated before", "", "This token was replaced before. Replace its successor."},
		{"LAST", "", "", "This is the last one, and one must be left."},
		{"RETRYING", "", "", "The event is still being sent. Wait until its attempts have ended."},
		{"BUSY", "", "", "Another attempt is going on. Try again in a moment."},
		{"NOT_FOUND", "no user of this name", "user", "There is no user of this name."},
	}
}

var (
	// quoted matches texts of the sender in a detail, and grantPart the place of a grant with a mistake.
	quoted    = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	grantPart = regexp.MustCompile(`grant (\d+): `)
	digits    = regexp.MustCompile(`\d+`)
)

// blame puts an error of the API into a form. It reports false for an error that is not about what was typed.
func (q *request) blame(e *entry, err error, fields ...string) bool {
	var answered *client.Error
	if !errors.As(err, &answered) {
		return false
	}
	field, text := q.refusal(answered)
	if text == "" {
		return false
	}
	e.status = answered.Status
	if answered.Status == http.StatusNotFound {
		e.status = http.StatusUnprocessableEntity
	}
	for _, name := range fields {
		if field == name || strings.HasPrefix(field, name+"-") {
			e.fail(field, text)
			return true
		}
	}
	e.fail("", text)
	return true
}

// refusal returns the field and the text of an error of the API, in the language of the request, or "".
func (q *request) refusal(e *client.Error) (field, text string) {
	if part := grantPart.FindStringSubmatch(e.Detail); part != nil && e.Code == "INVALID" {
		return q.grantField(part[1]), q.language.Text(
			"This is no pattern. Use a name, * for one component, or ** for all, such as app/**.")
	}
	detail := quoted.ReplaceAllString(e.Detail, "")
	numbers := digits.FindAllString(detail, -1)
	for _, r := range refusals() {
		n := strings.Count(r.text, "%s")
		if r.code != e.Code || !strings.Contains(detail, r.part) || n > len(numbers) {
			continue
		}
		args := make([]any, n)
		for i := range args {
			args[i] = numbers[i]
		}
		return r.field, q.language.Text(r.text, args...)
	}
	switch {
	case e.Status == http.StatusConflict:
		return "", q.language.Text("This conflicts with what is there.") + " " + inert(e.Detail)
	case e.Status == http.StatusBadRequest && e.Code == "INVALID":
		return "", q.language.Text("The request was refused.") + " " + inert(e.Detail)
	}
	return "", ""
}
