package web

import (
	"errors"
	"net/http"
	"strconv"

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
	if status == http.StatusUnauthorized && q.Method == http.MethodGet {
		if target := p.signInURL(p.frame(q, &answer{}).Path); target != "" {
			http.Redirect(q.writer, q.Request, target, http.StatusSeeOther)
			return
		}
	}
	if status >= http.StatusInternalServerError {
		p.log.ErrorContext(q.Context(), "page", "path", q.URL.Path, "error", err)
	}
	if answered := (*client.Error)(nil); errors.As(err, &answered) && answered.RetryAfter > 0 {
		q.writer.Header().Set("Retry-After", strconv.Itoa(int(answered.RetryAfter.Seconds())))
	}
	t := q.language.Text
	shown := problem{Status: status, Heading: t(http.StatusText(status)), Text: t(text), Detail: detail,
		Back: p.opts.Path, SignIn: p.signInURL(p.opts.Path)}
	a := &answer{status: status, title: shown.Heading, template: "error", data: shown}
	if err := p.respond(q, a); err != nil {
		p.log.ErrorContext(q.Context(), "page", "path", q.URL.Path, "error", err)
		http.Error(q.writer, text, status)
	}
}
