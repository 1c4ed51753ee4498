package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/auth"
)

// errGone is for a request that its client, or the host, has given up. Hardly anybody reads it.
var errGone = &Error{code: "UNAVAILABLE", status: http.StatusRequestTimeout, message: "the request was cancelled"}

// fail answers with an error. It is the only place where one becomes an answer.
func (c *call) fail(err error) {
	e := asError(err)
	if c.req.Context().Err() != nil && (e.status >= 500 || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded)) {
		e = errGone.WithCause(err)
	}
	if e.status >= 500 {
		c.r.log.ErrorContext(c.req.Context(), "request failed", "method", c.req.Method, "path", LogPath(c.req), "error", err)
	}
	h := c.w.Header()
	for _, key := range []string{"Accept-Ranges", "Cache-Control", "Docker-Content-Digest", "Etag", "Last-Modified"} {
		h.Del(key) // they would speak of the content that is not there
	}
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(e.retryAfter.Seconds())), 10))
	}
	switch e.status {
	case http.StatusUnauthorized:
		if a := c.r.opts.Authenticator; a != nil {
			if challenge := a.Challenge(c.req, c.needed(err)); challenge != "" {
				h.Set("WWW-Authenticate", challenge)
			}
		}
	case http.StatusMethodNotAllowed:
		h.Set("Allow", c.allowed())
	}
	if e.status == http.StatusUnauthorized || e.status == http.StatusForbidden {
		h.Set("Cache-Control", "no-store") // it is about this caller, and may be different after a login
	}
	content := errorJSON(e)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(content)))
	c.body.drain(func() { c.send(e.status, content) })
}

// needed returns the accesses that a caller needs who was refused with err.
func (c *call) needed(err error) []auth.Access {
	var refused *challenge
	switch {
	case errors.As(err, &refused):
		return refused.accesses
	case c.op != nil:
		return c.op.Access()
	}
	return nil
}

// allowed is the value of the Allow header: the methods of the endpoint, without the one that was
// just refused and those that are disabled.
func (c *call) allowed() string {
	if !c.routed {
		return ""
	}
	off := c.r.opts.NoDelete
	noDelete := map[endpoint]bool{endpointManifest: off.Manifests && off.Tags, endpointBlob: off.Blobs}[c.target.endpoint]
	methods := slices.Clone(c.r.routes[c.target.endpoint].methods)
	return strings.Join(slices.DeleteFunc(methods, func(m string) bool {
		return m == c.req.Method || noDelete && m == http.MethodDelete
	}), ", ")
}

// wireError is an error in the JSON of the distribution spec, section "Error Codes".
type wireError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

// errorJSON is the body of the answer. A detail of several digests becomes an error for each.
func errorJSON(e *Error) []byte {
	list := []wireError{{Code: e.code, Message: e.message, Detail: e.detail}}
	if digests, ok := e.detail.([]digest.Digest); ok {
		list = list[:0]
		for _, d := range digests {
			list = append(list, wireError{Code: e.code, Message: e.message, Detail: map[string]string{"digest": string(d)}})
		}
	}
	if len(list) == 0 {
		list = []wireError{{Code: e.code, Message: e.message}}
	}
	content, err := marshal(map[string][]wireError{"errors": list})
	if err != nil { // a detail that is no JSON
		content, _ = marshal(map[string][]wireError{"errors": {{Code: e.code, Message: e.message}}})
	}
	return content
}

// marshal is json.Marshal without the escapes that only HTML needs.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// writeJSON answers with status 200 and content. What a list says may be different the next moment,
// and for the next caller.
func (c *call) writeJSON(mediaType string, content []byte) error {
	h := c.w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("Cache-Control", cacheControl)
	c.send(http.StatusOK, content)
	return nil
}

// writeEmpty answers with a status and no content.
func (c *call) writeEmpty(status int) error {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.w.Header().Set("Content-Length", "0")
	}
	c.w.WriteHeader(status)
	return nil
}
