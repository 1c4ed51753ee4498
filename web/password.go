package web

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/internal/forwarded"
)

// confidential reports whether the request may have passwords: see [SignIn].
func (q *request) confidential() bool {
	s := q.page.opts.SignIn
	return s != nil && s.PlainHTTP || forwarded.Confidential(q.Request, nil)
}

// passwordSafe reports whether the network could not read the password that a form has sent, if it has one.
func (q *request) passwordSafe(e *entry) bool {
	if q.values.Get("password") == "" || q.confidential() {
		return true
	}
	e.status = http.StatusForbidden
	e.fail("", q.language.Text("Passwords need TLS. Nothing was changed."))
	return false
}

// repeated reports whether the new password was typed twice in the same way.
func (q *request) repeated(e *entry) bool {
	if q.values.Get("password") == q.values.Get("again") {
		return true
	}
	e.fail("again", q.language.Text("The passwords differ."))
	return false
}

// blameLimit puts an error about too many attempts into a form. It reports false for other errors.
func (q *request) blameLimit(e *entry, err error) bool {
	var answered *client.Error
	if !errors.As(err, &answered) || answered.Status != http.StatusTooManyRequests {
		return false
	}
	wait := max(answered.RetryAfter, time.Second)
	q.writer.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())))
	e.status = http.StatusTooManyRequests
	e.fail("", q.language.Text("Too many attempts. Try again in %s.", q.language.Duration(wait)))
	return true
}
