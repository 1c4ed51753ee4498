package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/client"
)

// failure is an error that a page shows.
type failure struct {
	status int
	// text is in English. It is translated when it is shown.
	text string
}

func (f *failure) Error() string { return f.text }

var (
	errSignIn    = &failure{http.StatusUnauthorized, "Sign in to see this page."}
	errNotFound  = &failure{http.StatusNotFound, "There is no such page, or you may not see it."}
	errMethod    = &failure{http.StatusMethodNotAllowed, "This address cannot be used in this way."}
	errMediaType = &failure{http.StatusUnsupportedMediaType, "The request is no form."}
	errTooLarge  = &failure{http.StatusRequestEntityTooLarge, "The form is too large."}
)

// errInvalid returns an error for a malformed request. text is translated.
func errInvalid(text string) error { return &failure{http.StatusBadRequest, text} }

// problem is what the template "error" shows.
type problem struct {
	Status int
	// Heading and Text are translated. Detail is what the API says, in English, or "".
	Heading, Text, Detail string
	// Back is the URL of the page before, and SignIn that of the sign-in, or "".
	Back, SignIn string
}

// describe returns the status, the text and the detail of an error.
func describe(err error) (status int, text, detail string) {
	var own *failure
	var answered *client.Error
	var refused *registry.Error
	switch {
	case errors.As(err, &own):
		return own.status, own.text, ""
	case errors.As(err, &answered):
		status, detail = answered.Status, answered.Detail
		if text = codeText(answered.Code); text != "" {
			return status, text, detail
		}
	case errors.As(err, &refused):
		status, detail = refused.Status(), refused.Message()
	default:
		return http.StatusInternalServerError, "Something went wrong. The operator finds the reason in the log.", ""
	}
	switch status {
	case http.StatusUnauthorized:
		text = "Sign in to see this page."
	case http.StatusForbidden:
		text = "You have no permission for this."
	case http.StatusNotFound:
		text = "There is no such page, or you may not see it."
	case http.StatusConflict:
		text = "This conflicts with what is there."
	case http.StatusPreconditionFailed:
		text = "It was changed meanwhile, so nothing was done. Look at it again, and repeat the change if you still want it."
	case http.StatusTooManyRequests:
		text = "Too many requests. Wait a moment."
	case http.StatusServiceUnavailable:
		text = "The storage does not respond. Nothing was lost. Try again in a moment."
	case http.StatusInternalServerError:
		text, detail = "Something went wrong. The operator finds the reason in the log.", ""
	default:
		text = "The request was refused."
	}
	return status, text, detail
}

// fail shows an error. Anonymous callers without access are sent to the sign-in.
func (p *Page) fail(q *request, err error) {
	status, text, detail := describe(err)
	if status == http.StatusUnauthorized && q.visitor == nil && p.opts.SignIn != nil && p.opts.SignIn.Basic {
		q.challenge() // the browser has sent a wrong password: it asks again
	}
	if status == http.StatusUnauthorized && q.Method == http.MethodGet && q.visitor != nil && !q.signedIn() {
		if target := p.signInURL(p.frame(q, &answer{}).Path); target != "" {
			q.writer.Header().Set("Location", target)
			q.writer.WriteHeader(http.StatusSeeOther)
			return
		}
	}
	if status >= http.StatusInternalServerError && q.Context().Err() == nil { // otherwise the client has gone
		p.log.ErrorContext(q.Context(), "page", "path", q.URL.Path, "error", err)
	}
	if answered := (*client.Error)(nil); errors.As(err, &answered) && answered.RetryAfter > 0 {
		q.writer.Header().Set("Retry-After", strconv.Itoa(int(answered.RetryAfter.Seconds())))
	}
	t := q.language.Text
	shown := problem{Status: status, Heading: t(statusHeading(status)), Text: t(text), Detail: detail, Back: p.opts.Path}
	if q.visitor == nil || !q.signedIn() {
		shown.SignIn = p.signInURL(p.opts.Path)
	}
	a := &answer{status: status, title: shown.Heading, template: "error", data: shown}
	if err := p.respond(q, a); err != nil {
		p.log.ErrorContext(q.Context(), "page", "path", q.URL.Path, "error", err)
		http.Error(q.writer, text, status)
	}
}

// statusHeading is the text of a status in sentence case, such as "Not found", or in words that say more.
func statusHeading(status int) string {
	text := http.StatusText(status)
	switch {
	case text == "":
		return ""
	case status == http.StatusPreconditionFailed:
		return "Changed meanwhile"
	case status == http.StatusUnprocessableEntity:
		return "Not possible"
	case status == http.StatusRequestEntityTooLarge:
		return "Too large"
	}
	return text[:1] + strings.ToLower(text[1:])
}

// need returns an error unless the sender may see a view: anonymous callers sign in first, and for others the view does
// not exist.
func (q *request) need(ok bool) error {
	switch {
	case ok:
		return nil
	case !q.signedIn():
		return errSignIn
	}
	return errNotFound
}

// unlessDenied returns errNotFound for an error that says that the sender may not see something, and otherwise err.
func unlessDenied(err error) error {
	if errors.Is(err, client.ErrDenied) {
		return errNotFound
	}
	return err
}

// absent reports whether a read failed because there is nothing that the sender may see.
func absent(err error) bool {
	return errors.Is(err, client.ErrNotFound) || errors.Is(err, client.ErrDenied) ||
		errors.Is(err, client.ErrUnauthorized)
}

// answeredWith returns the error of the API in an error if it has a code, such as "LAST", or else nil.
func answeredWith(err error, code string) *client.Error {
	var answered *client.Error
	if !errors.As(err, &answered) || answered.Code != code {
		return nil
	}
	return answered
}

// malformed returns the error of the API in an error if the API has refused a request as malformed, such as one with an
// impossible tag, or else nil.
func malformed(err error) *client.Error {
	var answered *client.Error
	if !errors.As(err, &answered) || answered.Status != http.StatusBadRequest {
		return nil
	}
	return answered
}

// unsupported reports whether an error says that the registry does not have the operation.
func unsupported(err error) bool { return answeredWith(err, "UNSUPPORTED") != nil }

// notCounted reports whether an error says that there are no figures yet.
func notCounted(err error) bool { return answeredWith(err, "NOT_COUNTED") != nil }
