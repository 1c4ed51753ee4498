package registry

import (
	"context"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/auth"
)

// errGone is the response to a request that its client or the host has cancelled. Hardly any client
// reads it.
var errGone = &Error{code: "UNAVAILABLE", status: http.StatusRequestTimeout, message: "the request was cancelled"}

// fail sends the response for an error. Errors become responses only here.
func (c *call) fail(err error) {
	e := asError(err)
	if c.req.Context().Err() != nil && (e.status >= 500 || errors.Is(err, context.Canceled) ||
		errors.Is(err, context.DeadlineExceeded)) {
		e = errGone.WithCause(err)
	}
	if e.status >= 500 {
		c.r.log.ErrorContext(&c.ctx, "request failed", "method", c.req.Method, "path", LogPath(c.req), "error", err)
	}
	c.forgetContent()
	if e.retryAfter > 0 {
		c.w.set("Retry-After", strconv.FormatInt(int64(math.Ceil(e.retryAfter.Seconds())), 10))
	}
	switch e.status {
	case http.StatusUnauthorized:
		if a := c.r.opts.Authenticator; a != nil {
			req := c.req.WithContext(withIdentity(c.req.Context(), c.ctx.identity))
			if challenge := a.Challenge(req, c.needed(err)); challenge != "" {
				c.w.set("Www-Authenticate", challenge)
			}
		}
	case http.StatusMethodNotAllowed:
		c.w.set("Allow", c.allowed())
	}
	if e.status == http.StatusUnauthorized || e.status == http.StatusForbidden {
		c.w.set("Cache-Control", "no-store") // the response is for this caller and may differ after a login
	}
	content := errorJSON(e)
	c.w.set("Content-Type", "application/json")
	c.w.set("Content-Length", strconv.Itoa(len(content)))
	c.body.drain(func() { c.send(e.status, content) })
}

// forgetContent removes the headers of content that the response does not have.
func (c *call) forgetContent() {
	h := c.w.Header()
	for _, key := range [...]string{"Accept-Ranges", "Cache-Control", "Docker-Content-Digest", "Etag", "Last-Modified"} {
		delete(h, key)
	}
}

// needed returns the accesses that a caller refused with err needs.
func (c *call) needed(err error) []auth.Access {
	var refused *challenge
	switch {
	case errors.As(err, &refused):
		return refused.accesses
	case c.op.Kind != "":
		return c.op.Access()
	}
	return nil
}

// allowed returns the value of the Allow header: the methods of the endpoint, without the refused
// one and without disabled deletes.
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

// errorJSON returns the body of an error response. A detail of several digests becomes one error
// for each.
func errorJSON(e *Error) []byte {
	if content, ok := appendError(make([]byte, 0, 256), e); ok {
		return content
	}
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
	if err != nil { // the detail cannot be encoded
		content, _ = marshal(map[string][]wireError{"errors": {{Code: e.code, Message: e.message}}})
	}
	return content
}

// writeJSON sends content with status 200. A list may differ at the next request and for the next
// caller, so a cache must ask again.
func (c *call) writeJSON(mediaType string, content []byte) error {
	c.setListHeaders(mediaType, len(content))
	c.send(http.StatusOK, content)
	return nil
}

// writeList is writeJSON for a buffer of Registry.scratch, which it takes back.
func (c *call) writeList(mediaType string, content []byte) error {
	c.setListHeaders(mediaType, len(content))
	c.sendList(content)
	return nil
}

func (c *call) setListHeaders(mediaType string, size int) {
	c.w.set("Content-Type", mediaType)
	c.w.set("Content-Length", strconv.Itoa(size))
	c.w.set("Cache-Control", cacheControl)
}

// writeEmpty sends a response without a body.
func (c *call) writeEmpty(status int) error {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.w.set("Content-Length", "0")
	}
	c.w.WriteHeader(status)
	return nil
}
