package registry

import (
	"errors"
	"net/http"
	"time"
)

// Error is an error that a client may see: a code of the distribution spec (section "Error Codes"),
// the HTTP status it is answered with, a message and a detail. What caused it is for the log only
// and never sent.
//
// The package's Err… values are compared with [errors.Is]; With… methods return copies that remain
// the same kind.
type Error struct {
	kind       *Error // the Err… value this is a copy of; nil in that value itself
	code       string
	status     int
	message    string
	detail     any
	cause      error
	retryAfter time.Duration
}

// The errors of the wire. The comment of each says what it means besides its code.
var (
	// ErrBlobUnknown: the repository does not have the blob.
	ErrBlobUnknown = &Error{code: "BLOB_UNKNOWN", status: http.StatusNotFound, message: "blob unknown to registry"}
	// ErrUploadUnknown: no such upload for this caller in this repository, or no more.
	ErrUploadUnknown = &Error{code: "BLOB_UPLOAD_UNKNOWN", status: http.StatusNotFound,
		message: "blob upload unknown to registry"}
	// ErrUploadInvalid: a request about an upload makes no sense.
	ErrUploadInvalid = &Error{code: "BLOB_UPLOAD_INVALID", status: http.StatusBadRequest, message: "blob upload invalid"}
	// ErrRangeInvalid: a chunk does not begin where the upload stands.
	ErrRangeInvalid = &Error{code: "BLOB_UPLOAD_INVALID", status: http.StatusRequestedRangeNotSatisfiable,
		message: "chunk is out of order"}
	// ErrBlobTooLarge: the blob is larger than the registry takes.
	ErrBlobTooLarge = &Error{code: "SIZE_INVALID", status: http.StatusRequestEntityTooLarge, message: "blob is too large"}
	// ErrDigestInvalid: a digest is malformed, of an unknown algorithm, or not that of the content.
	ErrDigestInvalid = &Error{code: "DIGEST_INVALID", status: http.StatusBadRequest,
		message: "provided digest did not match uploaded content"}
	// ErrSizeInvalid: the number of bytes is not what was announced.
	ErrSizeInvalid = &Error{code: "SIZE_INVALID", status: http.StatusBadRequest,
		message: "provided length did not match content length"}
	// ErrManifestUnknown: the repository has no such manifest or tag.
	ErrManifestUnknown = &Error{code: "MANIFEST_UNKNOWN", status: http.StatusNotFound,
		message: "manifest unknown to registry"}
	// ErrManifestInvalid: the manifest is malformed.
	ErrManifestInvalid = &Error{code: "MANIFEST_INVALID", status: http.StatusBadRequest, message: "manifest invalid"}
	// ErrManifestTooLarge: the manifest is larger than the registry takes.
	ErrManifestTooLarge = &Error{code: "MANIFEST_INVALID", status: http.StatusRequestEntityTooLarge,
		message: "manifest is too large"}
	// ErrManifestBlobUnknown: the manifest names something that the repository does not have.
	ErrManifestBlobUnknown = &Error{code: "MANIFEST_BLOB_UNKNOWN", status: http.StatusBadRequest,
		message: "manifest references a manifest or blob unknown to registry"}
	// ErrNameInvalid: the name is not one a repository can have.
	ErrNameInvalid = &Error{code: "NAME_INVALID", status: http.StatusBadRequest, message: "invalid repository name"}
	// ErrNameUnknown: there is no such repository.
	ErrNameUnknown = &Error{code: "NAME_UNKNOWN", status: http.StatusNotFound,
		message: "repository name not known to registry"}
	// ErrTagInvalid: the tag is not one a manifest can have.
	ErrTagInvalid = &Error{code: "TAG_INVALID", status: http.StatusBadRequest, message: "invalid tag"}
	// ErrTagExists: the tag exists and may not be pointed at another manifest.
	ErrTagExists = &Error{code: "DENIED", status: http.StatusConflict, message: "tag exists and may not be overwritten"}
	// ErrPreconditionFailed: a [Condition], or the If-Match or If-None-Match of a request, does not
	// hold. Nothing has been changed.
	ErrPreconditionFailed = &Error{
		code: "PRECONDITION_FAILED", status: http.StatusPreconditionFailed,
		message: "a condition of the request does not hold",
	}
	// ErrPageInvalid: the parameter n of a list is not a number, or negative.
	ErrPageInvalid = &Error{code: "PAGINATION_NUMBER_INVALID", status: http.StatusBadRequest,
		message: "invalid number of results requested"}
	// ErrUnauthorized: the caller must authenticate.
	ErrUnauthorized = &Error{code: "UNAUTHORIZED", status: http.StatusUnauthorized, message: "authentication required"}
	// ErrDenied: the caller may not do this.
	ErrDenied = &Error{code: "DENIED", status: http.StatusForbidden, message: "requested access to the resource is denied"}
	// ErrUnsupported: the registry cannot do this, or not any more.
	ErrUnsupported = &Error{code: "UNSUPPORTED", status: http.StatusMethodNotAllowed,
		message: "the operation is unsupported"}
	// ErrNotFound: there is no such endpoint.
	ErrNotFound = &Error{code: "UNSUPPORTED", status: http.StatusNotFound, message: "no such endpoint"}
	// ErrTooManyRequests: the caller shall come again later.
	ErrTooManyRequests = &Error{code: "TOOMANYREQUESTS", status: http.StatusTooManyRequests,
		message: "too many requests", retryAfter: time.Second}
	// ErrUnavailable: the storage does not answer at present.
	ErrUnavailable = &Error{code: "UNAVAILABLE", status: http.StatusServiceUnavailable, message: "service unavailable",
		retryAfter: time.Second}
	// ErrNoSpace: the storage is full.
	ErrNoSpace = &Error{code: "NO_SPACE", status: http.StatusInsufficientStorage, message: "no space left in storage"}
	// ErrInternal: anything that has no other name. The cause is in the log.
	ErrInternal = &Error{code: "UNKNOWN", status: http.StatusInternalServerError, message: "internal error"}
)

// NewError returns an error that a host defines, such as an exceeded quota or a missing licence. A
// [Backend] or an [Interceptor] returns it like an Err… value: by HTTP the client gets the status,
// the code and the message.
//
// The code consists of upper-case letters and underscores; an empty code becomes UNKNOWN. A status
// outside 400 to 599 becomes 500. An empty message becomes the text of the status.
//
// Keep the result in a variable: it is a kind of error of its own, which [errors.Is] finds in the
// copies that its With… methods return. [Error.WithMessage], [Error.WithDetail] and
// [Error.WithRetryAfter] change what the client sees, [Error.WithCause] what the log shows. Errors
// with a status of 500 or more are logged.
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

// Error returns code and message, and the cause if there is one.
func (e *Error) Error() string {
	s := e.code + ": " + e.message
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Sentinel is the Err… value that e is, or is a copy of.
func (e *Error) Sentinel() *Error { return e.base() }

// Code is the code on the wire, such as BLOB_UNKNOWN.
func (e *Error) Code() string { return e.code }

// Status is the HTTP status.
func (e *Error) Status() int { return e.status }

// Message is the text for the client.
func (e *Error) Message() string { return e.message }

// Detail is the structured detail for the client, nil if none.
func (e *Error) Detail() any { return e.detail }

// RetryAfter is when the client may try again; 0 if the error does not say.
func (e *Error) RetryAfter() time.Duration { return e.retryAfter }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is the same kind of error.
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

// WithMessage returns the error with another message for the client.
func (e *Error) WithMessage(message string) *Error {
	c := e.copy()
	c.message = message
	return c
}

// WithDetail returns the error with a detail for the client: anything that encoding/json can
// encode.
func (e *Error) WithDetail(detail any) *Error {
	c := e.copy()
	c.detail = detail
	return c
}

// WithCause returns the error with a cause for the log.
func (e *Error) WithCause(cause error) *Error {
	c := e.copy()
	c.cause = cause
	return c
}

// WithRetryAfter returns the error with the time after which the client may try again.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := e.copy()
	c.retryAfter = d
	return c
}

// asError returns err as what a client may see of it.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return ErrInternal.WithCause(err)
}
