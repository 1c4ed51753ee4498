package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/retryafter"
	"github.com/registrykit/registry/internal/strictjson"
	"github.com/registrykit/registry/reference"
)

var (
	// ErrContent is returned when the registry sent other content than requested. It may be
	// wrapped.
	ErrContent = errors.New("client: the registry sent other content than requested")
	// ErrTooLarge is returned when a response exceeds a limit of [Options]. It may be wrapped.
	ErrTooLarge = errors.New("client: the registry sent too much")
)

// Error is an error response of the registry. If an error of package registry corresponds to the
// response, the client returns that one, with Error as its cause. Otherwise it returns Error
// itself.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the error code of the distribution spec, or "" if the registry sent none.
	Code string
	// Message is the human-readable message on one line, or "" if the registry sent none.
	Message string

	request string
}

// Error returns the request, without its query, and the response.
func (e *Error) Error() string {
	return fmt.Sprintf("client: %s: status %d, code %s, message %q", e.request, e.Status, reference.Quote(e.Code),
		e.Message)
}

const (
	maxErrorSize   = 64 << 10 // bytes of the body of an error response
	maxMessageSize = 1 << 10
	maxCodeSize    = 64
	maxRetryAfter  = 24 * time.Hour
)

// known lists the errors that a response can mean.
var known = []*registry.Error{
	registry.ErrBlobUnknown, registry.ErrUploadUnknown, registry.ErrUploadInvalid, registry.ErrRangeInvalid,
	registry.ErrBlobTooLarge,
	registry.ErrDigestInvalid, registry.ErrSizeInvalid, registry.ErrManifestUnknown, registry.ErrManifestInvalid,
	registry.ErrManifestTooLarge,
	registry.ErrManifestBlobUnknown, registry.ErrNameInvalid, registry.ErrNameUnknown, registry.ErrTagInvalid,
	registry.ErrTagExists,
	registry.ErrPreconditionFailed,
	registry.ErrUnauthorized, registry.ErrDenied, registry.ErrUnsupported, registry.ErrTooManyRequests,
	registry.ErrUnavailable, registry.ErrNoSpace,
}

// wireError is an error in the JSON of the distribution spec, section "Error Codes".
type wireError struct {
	code    string
	message string
	detail  json.RawMessage
}

// wireErrors returns the errors in the body of a response. It returns none if the body is
// malformed, or if parsers could read it differently.
func wireErrors(body []byte) []wireError {
	r, err := strictjson.NewReader(body)
	if err != nil {
		return nil
	}
	var all []wireError
	_, err = r.Object([]string{"errors"}, func(string) error {
		return r.Array(func() error {
			var e wireError
			_, err := r.Object([]string{"code", "message", "detail"}, func(key string) (err error) {
				switch key {
				case "code":
					e.code, err = r.Text()
				case "message":
					e.message, err = r.Text()
				case "detail":
					e.detail = bytes.Clone(r.Skip())
				}
				return err
			})
			all = append(all, e)
			return err
		})
	})
	if err != nil {
		return nil
	}
	return all
}

// digestOf returns the digest in the detail of an error, or "" if there is none.
func digestOf(detail json.RawMessage) digest.Digest {
	r, err := strictjson.NewReader(detail)
	if err != nil {
		return ""
	}
	var d string
	_, err = r.Object([]string{"digest"}, func(string) (err error) {
		d, err = r.Text()
		return err
	})
	if err != nil || reference.CheckDigest(d) != nil {
		return ""
	}
	return digest.Digest(d)
}

// failure returns the error that an unexpected response means. A status of 404 means notFound.
func (c *Client) failure(ctx context.Context, r *request, res *http.Response, notFound *registry.Error) error {
	defer giveUp(res, cleanupTimeout)()
	var errs []wireError
	if b, err := readAll(ctx, r, res, maxErrorSize); err == nil {
		errs = wireErrors(b)
	}
	var first wireError
	if len(errs) > 0 {
		first = errs[0]
	}
	first.code, first.message = clean(first.code, maxCodeSize), clean(first.message, maxMessageSize)
	if r.leaksID(first.message) {
		first.message = ""
	}
	cause := &Error{Status: res.StatusCode, Code: first.code, Message: first.message, request: r.String()}
	kind := kindOf(res.StatusCode, first.code, notFound)
	if r.foreign && (res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden) {
		kind = registry.ErrUnavailable // such as a signed URL that has expired
	}
	if kind == nil {
		return cause
	}
	err := kind.WithCause(cause)
	if first.message != "" {
		err = err.WithMessage(first.message)
	}
	if detail := detailOf(kind, errs); detail != nil && !r.leaksID(fmt.Sprintf("%s", detail)) {
		err = err.WithDetail(detail)
	}
	if wait, _ := retryafter.Parse(res.Header.Get("Retry-After"), time.Now()); wait > 0 {
		err = err.WithRetryAfter(min(wait, maxRetryAfter))
	}
	return err
}

// leaksID reports whether a text from the registry contains the id of the upload of this request.
// Knowing the id is enough to continue the upload, so errors must not contain it.
func (r *request) leaksID(text string) bool {
	id := path.Base(r.url.Path)
	return r.shown != "" && (strings.Contains(text, id) || r.url.RawQuery != "" && strings.Contains(text, r.url.RawQuery))
}

// clean returns a text from outside as one line of at most size bytes, for messages and logs.
func clean(s string, size int) string {
	s = strings.ToValidUTF8(s[:min(len(s), size)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// cleanError wraps an error whose text may come from outside.
type cleanError struct{ err error }

// Error returns the text on one line of bounded length.
func (e *cleanError) Error() string { return clean(e.err.Error(), maxMessageSize) }

// Unwrap returns the original error.
func (e *cleanError) Unwrap() error { return e.err }

// kindOf returns the error of package registry for a response: the one with this status and code,
// else the one for this status, else the one with this code. It returns nil if there is none.
func kindOf(status int, code string, notFound *registry.Error) *registry.Error {
	if (status == http.StatusNotFound || status == http.StatusGone) && code != registry.ErrManifestBlobUnknown.Code() {
		return notFound
	}
	for _, e := range known {
		if e.Status() == status && e.Code() == code {
			return e
		}
	}
	switch status {
	case http.StatusUnauthorized:
		return registry.ErrUnauthorized
	case http.StatusForbidden:
		return registry.ErrDenied
	case http.StatusMethodNotAllowed:
		return registry.ErrUnsupported
	case http.StatusPreconditionFailed:
		return registry.ErrPreconditionFailed
	case http.StatusRequestedRangeNotSatisfiable:
		return registry.ErrRangeInvalid
	case http.StatusTooManyRequests:
		return registry.ErrTooManyRequests
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return registry.ErrUnavailable
	case http.StatusInsufficientStorage:
		return registry.ErrNoSpace
	}
	if status >= 500 {
		return nil
	}
	for _, e := range known {
		if e.Code() == code {
			return e
		}
	}
	return nil
}

// detailOf returns the detail of an error of a kind. For ErrManifestBlobUnknown, it is a list of
// all missing digests, as a Store returns it.
func detailOf(kind *registry.Error, errs []wireError) any {
	if kind != registry.ErrManifestBlobUnknown {
		if len(errs) == 0 || len(errs[0].detail) == 0 || string(errs[0].detail) == "null" {
			return nil
		}
		return errs[0].detail
	}
	var missing []digest.Digest
	for _, e := range errs {
		if d := digestOf(e.detail); d != "" {
			missing = append(missing, d)
		}
	}
	if missing == nil {
		return nil
	}
	return missing
}
