package client

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/registrykit/registry/api/types"
)

// Errors that an [*Error] matches by errors.Is, by its status.
var (
	// ErrNotFound matches 404: the object does not exist, or the caller may not see it.
	ErrNotFound = errors.New("client: not found")
	// ErrUnauthorized matches 401: credentials are missing or wrong.
	ErrUnauthorized = errors.New("client: unauthorized")
	// ErrDenied matches 403.
	ErrDenied = errors.New("client: denied")
	// ErrChanged matches 412: the object was changed after its version was read.
	ErrChanged = errors.New("client: changed meanwhile")
	// ErrConflict matches 409: the object conflicts with another one, see the code of the problem.
	ErrConflict = errors.New("client: conflict")
)

// Error is an error response of the API.
type Error struct {
	// Problem is the body of the response. Its fields are zero if the body was no problem, except for Status.
	types.Problem
	// RetryAfter is the time after which the request may be repeated, or zero.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	text := e.Detail
	if text == "" {
		text = http.StatusText(e.Status)
	}
	if e.Code == "" {
		return fmt.Sprintf("%s (status %d)", text, e.Status)
	}
	return fmt.Sprintf("%s (%s, status %d)", text, e.Code, e.Status)
}

// Is reports whether target is the error for the status.
func (e *Error) Is(target error) bool {
	switch e.Status {
	case http.StatusNotFound:
		return target == ErrNotFound
	case http.StatusUnauthorized:
		return target == ErrUnauthorized
	case http.StatusForbidden:
		return target == ErrDenied
	case http.StatusPreconditionFailed:
		return target == ErrChanged
	case http.StatusConflict:
		return target == ErrConflict
	}
	return false
}

// newError returns the error of a response.
func newError(r *http.Response, p types.Problem) *Error {
	e := &Error{Problem: p}
	e.Status = r.StatusCode
	if seconds, err := strconv.Atoi(r.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}
