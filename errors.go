package registry

import (
	"errors"
	"net/http"
	"time"
)

// Error is an error that a client may see. It has a code of the distribution spec (section "Error
// Codes"), an HTTP status, a message and an optional detail. Its cause goes to the log only and is
// never sent.
//
// Compare an error with the Err… values of this package by [errors.Is]. The With… methods return
// copies that still match. [NewError] makes errors with another code.
type Error struct {
	kind       *Error // the value that this is a copy of; nil if it is not a copy
	code       string
	status     int
	message    string
	detail     any
	cause      error
	retryAfter time.Duration
}

// The errors that a registry returns, with the HTTP status of each.
var (
	// ErrBlobUnknown is returned when the repository does not have the blob (404).
	ErrBlobUnknown = &Error{code: "BLOB_UNKNOWN", status: http.StatusNotFound, message: "blob unknown to registry"}
	// ErrUploadUnknown is returned when the repository has no such upload, or no longer, or when
	// the upload belongs to another caller (404).
	ErrUploadUnknown = &Error{code: "BLOB_UPLOAD_UNKNOWN", status: http.StatusNotFound,
		message: "blob upload unknown to registry"}
	// ErrUploadInvalid is returned when the parameters or the body of a request for an upload
	// are inconsistent (400).
	ErrUploadInvalid = &Error{code: "BLOB_UPLOAD_INVALID", status: http.StatusBadRequest, message: "blob upload invalid"}
	// ErrRangeInvalid is returned when a chunk does not begin at the current size of the upload
	// (416).
	ErrRangeInvalid = &Error{code: "BLOB_UPLOAD_INVALID", status: http.StatusRequestedRangeNotSatisfiable,
		message: "chunk is out of order"}
	// ErrBlobTooLarge is returned when the blob exceeds the maximum size (413). See
	// Options.MaxBlobSize.
	ErrBlobTooLarge = &Error{code: "SIZE_INVALID", status: http.StatusRequestEntityTooLarge, message: "blob is too large"}
	// ErrDigestInvalid is returned when a digest is malformed, has an unsupported algorithm, or is
	// not the digest of the content (400).
	ErrDigestInvalid = &Error{code: "DIGEST_INVALID", status: http.StatusBadRequest,
		message: "provided digest did not match uploaded content"}
	// ErrSizeInvalid is returned when the number of bytes is not the announced one (400).
	ErrSizeInvalid = &Error{code: "SIZE_INVALID", status: http.StatusBadRequest,
		message: "provided length did not match content length"}
	// ErrManifestUnknown is returned when the repository has no such manifest or tag (404).
	ErrManifestUnknown = &Error{code: "MANIFEST_UNKNOWN", status: http.StatusNotFound,
		message: "manifest unknown to registry"}
	// ErrManifestInvalid is returned when the manifest is malformed (400).
	ErrManifestInvalid = &Error{code: "MANIFEST_INVALID", status: http.StatusBadRequest, message: "manifest invalid"}
	// ErrManifestTooLarge is returned when the manifest exceeds the maximum size (413). See
	// Options.MaxManifestSize.
	ErrManifestTooLarge = &Error{code: "MANIFEST_INVALID", status: http.StatusRequestEntityTooLarge,
		message: "manifest is too large"}
	// ErrManifestBlobUnknown is returned when the manifest names content that the repository does
	// not have (400).
	ErrManifestBlobUnknown = &Error{code: "MANIFEST_BLOB_UNKNOWN", status: http.StatusBadRequest,
		message: "manifest references a manifest or blob unknown to registry"}
	// ErrNameInvalid is returned when the name cannot be that of a repository (400).
	ErrNameInvalid = &Error{code: "NAME_INVALID", status: http.StatusBadRequest, message: "invalid repository name"}
	// ErrNameUnknown is returned when the repository does not exist (404).
	ErrNameUnknown = &Error{code: "NAME_UNKNOWN", status: http.StatusNotFound,
		message: "repository name not known to registry"}
	// ErrTagInvalid is returned when the tag is malformed (400).
	ErrTagInvalid = &Error{code: "TAG_INVALID", status: http.StatusBadRequest, message: "invalid tag"}
	// ErrTagExists is returned when the tag exists and the caller may not point it at another
	// manifest (409).
	ErrTagExists = &Error{code: "DENIED", status: http.StatusConflict, message: "tag exists and may not be overwritten"}
	// ErrPreconditionFailed is returned when a [Condition], or the If-Match or If-None-Match of a
	// request, does not hold (412). Nothing has changed.
	ErrPreconditionFailed = &Error{
		code: "PRECONDITION_FAILED", status: http.StatusPreconditionFailed,
		message: "a condition of the request does not hold",
	}
	// ErrPageInvalid is returned when the parameter n of a list is malformed or negative (400).
	ErrPageInvalid = &Error{code: "PAGINATION_NUMBER_INVALID", status: http.StatusBadRequest,
		message: "invalid number of results requested"}
	// ErrUnauthorized is returned when the caller must authenticate (401).
	ErrUnauthorized = &Error{code: "UNAUTHORIZED", status: http.StatusUnauthorized, message: "authentication required"}
	// ErrDenied is returned when the caller is not allowed to perform the operation (403). Its message differs from
	// that of the CNCF registry: with that message and without a detail, docker 20.10 retries a refused push five
	// times, which takes about 50 s.
	ErrDenied = &Error{code: "DENIED", status: http.StatusForbidden, message: "access to the resource is denied"}
	// ErrUnsupported is returned when the registry does not have the operation, or it is disabled
	// (405).
	ErrUnsupported = &Error{code: "UNSUPPORTED", status: http.StatusMethodNotAllowed,
		message: "the operation is unsupported"}
	// ErrNotFound is returned when the path is not that of an endpoint (404).
	ErrNotFound = &Error{code: "UNSUPPORTED", status: http.StatusNotFound, message: "no such endpoint"}
	// ErrTooManyRequests is returned when the caller must wait before it tries again (429).
	ErrTooManyRequests = &Error{code: "TOOMANYREQUESTS", status: http.StatusTooManyRequests,
		message: "too many requests", retryAfter: time.Second}
	// ErrUnavailable is returned when the storage does not respond at present (503).
	ErrUnavailable = &Error{code: "UNAVAILABLE", status: http.StatusServiceUnavailable, message: "service unavailable",
		retryAfter: time.Second}
	// ErrNoSpace is returned when the storage is full (507).
	ErrNoSpace = &Error{code: "NO_SPACE", status: http.StatusInsufficientStorage, message: "no space left in storage"}
	// ErrInternal is returned for every error that is not an *Error (500). The log has its cause.
	ErrInternal = &Error{code: "UNKNOWN", status: http.StatusInternalServerError, message: "internal error"}
)

// NewError returns an error that a host defines, such as an exceeded quota or a missing licence. A
// [Backend] or an [Interceptor] returns it like an Err… value. Over HTTP, the client gets its
// status, code and message.
//
// code consists of upper-case letters and underscores. An empty code becomes UNKNOWN, and a status
// outside 400 to 599 becomes 500. An empty message becomes the standard text of the status. An
// error with a status of 500 or more is logged.
//
// Keep the result in a variable: each call defines a distinct error, and [errors.Is] matches only
// it and copies of it. [Error.WithMessage], [Error.WithDetail] and [Error.WithRetryAfter] change
// what the client sees; [Error.WithCause] changes what the log shows.
func NewError(code string, status int, message string) *Error {
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	if code == "" {
		code = ErrInternal.code
	}
	if message == "" {
		message = http.StatusText(status)
	}
	return &Error{code: code, status: status, message: message}
}

// Error returns the code, the message, and the cause if there is one.
func (e *Error) Error() string {
	s := e.code + ": " + e.message
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Sentinel returns the value that e was copied from: an Err… value or a result of [NewError]. It
// returns e itself if e is not a copy. Its Message is the standard message of the error.
func (e *Error) Sentinel() *Error { return e.base() }

// Code returns the code that the client gets, such as BLOB_UNKNOWN.
func (e *Error) Code() string { return e.code }

// Status returns the HTTP status.
func (e *Error) Status() int { return e.status }

// Message returns the text for the client.
func (e *Error) Message() string { return e.message }

// Detail returns the structured detail for the client, or nil.
func (e *Error) Detail() any { return e.detail }

// RetryAfter returns the time after which the client may try again, or zero if the error does not
// say.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is an Error with the same [Error.Sentinel].
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && e.base() == t.base()
}

func (e *Error) base() *Error {
	if e.kind != nil {
		return e.kind
	}
	return e
}

func (e *Error) copy() *Error {
	c := *e
	c.kind = e.base()
	return &c
}

// WithMessage returns a copy of the error with another message for the client.
func (e *Error) WithMessage(message string) *Error {
	c := e.copy()
	c.message = message
	return c
}

// WithDetail returns a copy of the error with a detail for the client: any value that encoding/json
// can encode. A []digest.Digest becomes one error for each digest in the response.
func (e *Error) WithDetail(detail any) *Error {
	c := e.copy()
	c.detail = detail
	return c
}

// WithCause returns a copy of the error with a cause, which is logged and never sent.
func (e *Error) WithCause(cause error) *Error {
	c := e.copy()
	c.cause = cause
	return c
}

// WithRetryAfter returns a copy of the error with the time after which the client may try again,
// for the header Retry-After.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := e.copy()
	c.retryAfter = d
	return c
}

// asError returns the first *Error in err, or ErrInternal with err as its cause.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return ErrInternal.WithCause(err)
}
