package signin

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/problem"
	"github.com/registrykit/registry/internal/strictjson"
	"github.com/registrykit/registry/storage/driver"
)

const (
	jsonType = "application/json"
	formType = "application/x-www-form-urlencoded"
	// maxBody is the maximum size of a body, in bytes.
	maxBody = 64 << 10
)

// The errors of the handler, with their codes and statuses.
var (
	errNotFound    = registry.NewError("NOT_FOUND", http.StatusNotFound, "no such path or provider")
	errInvalid     = registry.NewError("INVALID", http.StatusBadRequest, "the request is invalid")
	errCrossOrigin = registry.NewError("CROSS_ORIGIN", http.StatusForbidden, "a page of another origin sent the request")
	errPassword    = registry.NewError("WRONG_PASSWORD", http.StatusForbidden, "the name or the password is wrong")
	errPlain       = registry.NewError("PLAIN_HTTP", http.StatusForbidden,
		"the sign-in needs TLS: open the page with https, or by a proxy that sends X-Forwarded-Proto and is trusted")
	errAttempt = registry.NewError("UNKNOWN_ATTEMPT", http.StatusBadRequest,
		"this sign-in was not begun in this browser, or more than ten minutes ago: begin again")
	errCode   = registry.NewError("WRONG_CODE", http.StatusBadRequest, "the provider rejects the code: begin again")
	errToken  = registry.NewError("WRONG_TOKEN", http.StatusForbidden, "the token of the provider is not valid here")
	errDenied = registry.NewError("ACCESS_DENIED", http.StatusForbidden, "the sign-in was refused at the provider")
	errPerson = registry.NewError("NOT_PERMITTED", http.StatusForbidden,
		"the provider knows you, but you may not sign in here")
	errGroups = registry.NewError("TOO_MANY_GROUPS", http.StatusForbidden,
		"you are in too many groups: the provider does not send them")
	errNotLinked = registry.NewError("NOT_LINKED", http.StatusForbidden,
		"you have no account here: sign in with your password and link it, or ask an admin")
	errName = registry.NewError("NAME_TAKEN", http.StatusConflict,
		"the name of your account is taken or not permitted: if it is yours, sign in with its password and link it")
	errLinked    = registry.NewError("LINKED", http.StatusConflict, "this person is linked to another account")
	errSignedOut = registry.NewError("UNAUTHORIZED", http.StatusForbidden, "sign in first")
	errAccount   = registry.NewError("ACCOUNT_DISABLED", http.StatusForbidden, "the account is disabled or removed")
	errProvider  = registry.NewError("PROVIDER_UNAVAILABLE", http.StatusServiceUnavailable,
		"the provider cannot be reached now: try again later")
	errTooMany     = registry.NewError("TOO_MANY_REQUESTS", http.StatusTooManyRequests, "too many attempts")
	errUnavailable = registry.NewError("UNAVAILABLE", http.StatusServiceUnavailable, "not available now: try again")
	errInternal    = registry.NewError("UNKNOWN", http.StatusInternalServerError, "internal error")
	errPending     = registry.NewError("AUTHORIZATION_PENDING", http.StatusBadRequest, "not confirmed yet: poll again")
	errSlowDown    = registry.NewError("SLOW_DOWN", http.StatusBadRequest, "poll again, with a longer interval")
	errExpired     = registry.NewError("EXPIRED", http.StatusBadRequest, "the time is over: begin again")
	errNoDevice    = registry.NewError("UNSUPPORTED", http.StatusBadRequest, "the provider has no device flow")
)

// wireError returns an error as the client sees it.
func wireError(err error) *registry.Error {
	var known *registry.Error
	var limited *auth.LimitError
	var down *auth.UnavailableError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &limited):
		return errTooMany.WithRetryAfter(limited.RetryAfter).WithCause(err)
	case errors.As(err, &down):
		return errUnavailable.WithRetryAfter(max(down.RetryAfter, time.Second)).WithCause(err)
	case errors.Is(err, driver.ErrNoSpace):
		return registry.ErrNoSpace.WithCause(err)
	case errors.Is(err, driver.ErrUnavailable), driver.IsConflict(err):
		return errUnavailable.WithRetryAfter(time.Second).WithCause(err)
	}
	return errInternal.WithCause(err)
}

// formError is an error of a request with what its sender has entered.
type formError struct {
	error
	name, path string
}

// Unwrap returns the error.
func (e *formError) Unwrap() error { return e.error }

// withForm adds what the sender has entered to an error that is not nil.
func withForm(err error, name, path string) error {
	if err == nil {
		return nil
	}
	return &formError{err, name, path}
}

// fail sends the response for an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := wireError(err)
	if e.Status() >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.opts.Error(r.Context(), fmt.Errorf("signin: %s %s: %w", r.Method, r.URL.Path, err))
	}
	if !wantsJSON(r) {
		problem.RetryAfter(w.Header(), e)
		f := Failure{Status: e.Status(), Code: e.Code(), Message: e.Message(), RetryAfter: e.RetryAfter()}
		if form := (*formError)(nil); errors.As(err, &form) {
			f.Name, f.Return = form.name, form.path
		}
		h.opts.Fail(w, r, f)
		return
	}
	problem.Write(w, e)
}

// failText is the default of Options.Fail.
func failText(w http.ResponseWriter, _ *http.Request, f Failure) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(f.Status)
	_, _ = io.WriteString(w, f.Message+"\n")
}

// sendJSON sends a response with the status 200.
func sendJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", jsonType)
	_, _ = w.Write(b) // the client may be gone
	return nil
}

// redirect sends a browser to a local path or a URL. Unlike http.Redirect, it does not change it.
func redirect(w http.ResponseWriter, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
}

// leave is a page that leads to another host.
var leave = template.Must(template.New("leave").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>{{.Host}}</title>
<meta http-equiv="refresh" content="0; url={{.URL}}"></head>
<body><p><a href="{{.URL}}">{{.Host}}</a></p></body></html>
`))

// sendAway leads a browser that has sent a form to another host. A redirect does not do that: the
// page with the form has the policy form-action 'self', which some browsers apply to redirects, too.
func sendAway(w http.ResponseWriter, to string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	return leave.Execute(w, map[string]string{"URL": to, "Host": u.Host})
}

// wantsJSON reports whether a client sends JSON or accepts it.
func wantsJSON(r *http.Request) bool {
	return isType(r, jsonType) || strings.Contains(r.Header.Get("Accept"), jsonType)
}

// isType reports whether the body has a media type.
func isType(r *http.Request, want string) bool {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && got == want
}

// readBody returns the body of a request.
//
// Errors: errInvalid.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody { // do not ask the client for it
		return nil, errInvalid.WithMessage("the body has more than 64 KiB")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, errInvalid.WithMessage("the body cannot be read, or has more than 64 KiB").WithCause(err)
	}
	return body, nil
}

// decodeJSON reads a JSON object with known fields. v is a pointer to a struct.
//
// Errors: errInvalid.
func decodeJSON(w http.ResponseWriter, r *http.Request, v any) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	if err := strictjson.Unmarshal(body, v); err != nil {
		return errInvalid.WithMessage("the body: " + err.Error()).WithCause(err)
	}
	return nil
}

// readForm reads a form in which no field is repeated.
//
// Errors: errInvalid.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if !isType(r, formType) {
		return nil, errInvalid.WithMessage("the Content-Type must be " + formType + " or " + jsonType)
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return parseQuery(string(body))
}

// parseQuery parses a query or form in which no field is repeated.
//
// Errors: errInvalid.
func parseQuery(text string) (url.Values, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, errInvalid.WithMessage("the query or form is malformed").WithCause(err)
	}
	for name, list := range values {
		if len(list) > 1 {
			return nil, errInvalid.WithMessage(fmt.Sprintf("%.40q is repeated", name))
		}
	}
	return values, nil
}

// maxPath is the maximum length of a local path, in bytes.
const maxPath = 2048

// isLocal reports whether a browser that is sent to a path stays on this host. A browser takes
// "//host", "/\host" and texts with control characters in between for another host.
func isLocal(path string) bool {
	if len(path) == 0 || len(path) > maxPath || path[0] != '/' || len(path) > 1 && path[1] == '/' {
		return false
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	u, err := url.Parse(path)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil
}

// returnPath returns where a browser goes after a sign-in.
//
// Errors: errInvalid for a path that is not local.
func (h *Handler) returnPath(given string) (string, error) {
	if given == "" {
		return h.opts.Home, nil
	}
	if !isLocal(given) {
		return "", errInvalid.WithMessage("return must be a path of this host, such as /repositories")
	}
	return given, nil
}
