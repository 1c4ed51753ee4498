package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/problem"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/usage"
)

// The errors of the API itself. Handlers also return those of package registry and of the parts; see problemOf.
var (
	errNoRoute  = registry.NewError("NOT_FOUND", http.StatusNotFound, "no such path")
	errNotFound = registry.NewError("NOT_FOUND", http.StatusNotFound, "no such object")
	errInvalid  = registry.NewError("INVALID", http.StatusBadRequest, "the request is invalid")
	errInUse    = registry.NewError("IN_USE", http.StatusConflict, "the object is in use")
	errLimit    = registry.NewError("LIMIT", http.StatusConflict, "there are too many")
	errConflict = registry.NewError("CONFLICT", http.StatusConflict, "the object conflicts with another one")
	// errScoped is returned for a token of Docker's protocol. Its scopes contain no permission of the API, but some
	// routes ask for no permission.
	errScoped = registry.NewError("UNAUTHORIZED", http.StatusUnauthorized,
		"the token is for pulls and pushes; log in with a password, an access token or a session")
	errNoCondition = registry.NewError("PRECONDITION_REQUIRED", http.StatusPreconditionRequired,
		"the header If-Match is required: send the ETag of the object")
	errNotRecorded = registry.NewError("NOT_RECORDED", http.StatusServiceUnavailable,
		"the change was made, but its event was not stored")
	errUnsupported = registry.NewError("UNSUPPORTED", http.StatusConflict, "the registry does not do this")
	errNotCounted  = registry.NewError("NOT_COUNTED", http.StatusNotFound, "the usage was not counted yet")
	errTooLarge    = registry.NewError("TOO_LARGE", http.StatusRequestEntityTooLarge, "the body has more than 1 MiB")
	errMediaType   = registry.NewError("UNSUPPORTED_MEDIA_TYPE", http.StatusUnsupportedMediaType,
		"the Content-Type must be application/json")
)

// methodError is returned for a method that a path does not have.
type methodError struct{ routes map[string]route }

func (methodError) Error() string { return "api: the path has no such method" }

// allow returns the methods that the path has, for the header Allow.
func (e methodError) allow() string {
	methods := []string{}
	for m := range e.routes {
		methods = append(methods, m)
		if m == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// wireError returns an error as the client sees it.
func wireError(err error) *registry.Error {
	if e := partError(err); e != nil {
		return e
	}
	var known *registry.Error
	var limit *auth.LimitError
	switch {
	case errors.As(err, &known) && errors.Is(known, registry.ErrUnsupported):
		// 405 is for methods: the path has this one, but the registry does not perform it.
		return errUnsupported.WithMessage(known.Message()).WithCause(err)
	case errors.Is(err, usage.ErrNotCounted):
		return errNotCounted.WithCause(err)
	case errors.As(err, new(*auth.UnavailableError)): // it may wrap a registry.Error
		return registry.ErrUnavailable.WithCause(err)
	case errors.As(err, &known):
		return known
	case errors.As(err, new(methodError)):
		return registry.ErrUnsupported.WithMessage("the path has no such method")
	case errors.As(err, &limit):
		return registry.ErrTooManyRequests.WithRetryAfter(limit.RetryAfter).WithCause(err)
	case errors.Is(err, driver.ErrNoSpace):
		return registry.ErrNoSpace.WithCause(err)
	case driver.IsConflict(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, driver.ErrUnavailable):
		return registry.ErrUnavailable.WithCause(err)
	}
	return registry.ErrInternal.WithCause(err)
}

// fail sends the response for an error. Errors become responses only here.
func (a *API) fail(q *request, err error) {
	e := wireError(err)
	if e.Status() >= http.StatusInternalServerError && q.Context().Err() != nil {
		e = registry.NewError("CANCELED", http.StatusRequestTimeout, "the request was cancelled")
	}
	if e.Status() >= http.StatusInternalServerError {
		a.log.ErrorContext(q.Context(), "request failed", "method", q.Method, "path", q.URL.Path, "error", err)
	}
	h := q.writer.Header()
	for _, name := range []string{"ETag", "Link", "Location"} {
		h.Del(name)
	}
	var method methodError
	switch {
	case e.Status() == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Basic realm="+strconv.Quote(a.opts.Realm))
	case errors.As(err, &method):
		h.Set("Allow", method.allow())
	}
	problem.Write(q.writer, e)
}
