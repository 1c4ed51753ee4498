package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

var (
	// ErrContent is what a read fails with, or wraps, if the registry has sent something else than what it was asked for.
	ErrContent = errors.New("client: the registry has sent other content than was asked for")
	// ErrTooLarge is what a read fails with, or wraps, if the registry has sent more than a limit in [Options].
	ErrTooLarge = errors.New("client: the registry has sent too much")
)

// Error is what a registry has answered instead of what it was asked for. It is returned as such if it has no counterpart among the errors of
// package registry, and is the cause of that one otherwise.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code is the code of the distribution spec, "" if the registry has sent none.
	Code string
	// Message is the text for people in one line, "" if the registry has sent none.
	Message string

	request string
}

// Error tells the request, but for its query, and the answer.
func (e *Error) Error() string {
	return fmt.Sprintf("client: %s: status %d, code %s, message %q", e.request, e.Status, reference.Quote(e.Code), e.Message)
}

const (
	maxErrorSize   = 64 << 10 // bytes of the body of an answer that is an error
	maxMessageSize = 1 << 10
	maxCodeSize    = 64
	maxRetryAfter  = 24 * time.Hour
)

// known are the errors that an answer may be.
var known = []*registry.Error{
	registry.ErrBlobUnknown, registry.ErrUploadUnknown, registry.ErrUploadInvalid, registry.ErrRangeInvalid, registry.ErrBlobTooLarge,
	registry.ErrDigestInvalid, registry.ErrSizeInvalid, registry.ErrManifestUnknown, registry.ErrManifestInvalid, registry.ErrManifestTooLarge,
	registry.ErrManifestBlobUnknown, registry.ErrNameInvalid, registry.ErrNameUnknown, registry.ErrTagInvalid, registry.ErrTagExists,
	registry.ErrUnauthorized, registry.ErrDenied, registry.ErrUnsupported, registry.ErrTooManyRequests, registry.ErrUnavailable, registry.ErrNoSpace,
}

// wireError is an error in the JSON of the distribution spec, section "Error Codes".
type wireError struct {
	Code    string          `json:"code"`
	Message string          `json:"message"`
	Detail  json.RawMessage `json:"detail"`
}

// failure returns what an answer means that is none of those expected.
func (c *Client) failure(ctx context.Context, r *request, res *http.Response, notFound *registry.Error) error {
	defer giveUp(res, cleanupTimeout)()
	var body struct {
		Errors []wireError `json:"errors"`
	}
	if b, err := readAll(ctx, r, res, maxErrorSize); err == nil {
		_ = json.Unmarshal(b, &body) // what is no JSON says nothing
	}
	var first wireError
	if len(body.Errors) > 0 {
		first = body.Errors[0]
	}
	first.Code, first.Message = clean(first.Code, maxCodeSize), clean(first.Message, maxMessageSize)
	if r.tells(first.Message) {
		first.Message = ""
	}
	cause := &Error{Status: res.StatusCode, Code: first.Code, Message: first.Message, request: r.String()}
	kind := kindOf(res.StatusCode, first.Code, notFound)
	if kind == nil {
		return cause
	}
	err := kind.WithCause(cause)
	if first.Message != "" {
		err = err.WithMessage(first.Message)
	}
	if detail := detailOf(kind, body.Errors); detail != nil && !r.tells(fmt.Sprintf("%s", detail)) {
		err = err.WithDetail(detail)
	}
	if s, nerr := strconv.ParseInt(res.Header.Get("Retry-After"), 10, 32); nerr == nil && s > 0 {
		err = err.WithRetryAfter(min(time.Duration(s)*time.Second, maxRetryAfter))
	}
	return err
}

// tells reports whether a text of the registry tells the id of the upload that the request is about.
func (r *request) tells(text string) bool {
	id := path.Base(r.url.Path)
	return r.shown != "" && (strings.Contains(text, id) || r.url.RawQuery != "" && strings.Contains(text, r.url.RawQuery))
}

// clean returns what somebody else has written as one line of at most size bytes, for messages and logs.
func clean(s string, size int) string {
	s = strings.ToValidUTF8(s[:min(len(s), size)], "")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// cleanError is an error whose text may be of somebody else.
type cleanError struct{ err error }

// Error returns one line of bounded length.
func (e *cleanError) Error() string { return clean(e.err.Error(), maxMessageSize) }

// Unwrap returns the error as it was.
func (e *cleanError) Unwrap() error { return e.err }

// kindOf returns the error of package registry that an answer is: the one with this status and code, or with this code, or what the
// status alone means. It is nil if there is none.
func kindOf(status int, code string, notFound *registry.Error) *registry.Error {
	if status == http.StatusNotFound && code != registry.ErrManifestBlobUnknown.Code() {
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

// detailOf is the detail of an error of a kind. Of what a manifest misses, it is all the digests, as a Store would have it.
func detailOf(kind *registry.Error, errs []wireError) any {
	if kind != registry.ErrManifestBlobUnknown {
		if len(errs) == 0 || len(errs[0].Detail) == 0 || string(errs[0].Detail) == "null" {
			return nil
		}
		return errs[0].Detail
	}
	var missing []digest.Digest
	for _, e := range errs {
		var detail struct {
			Digest digest.Digest `json:"digest"`
		}
		if json.Unmarshal(e.Detail, &detail) == nil && reference.CheckDigest(string(detail.Digest)) == nil {
			missing = append(missing, detail.Digest)
		}
	}
	if missing == nil {
		return nil
	}
	return missing
}
