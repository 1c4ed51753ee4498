package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/handover"
)

// cacheControl is sent with all that can be read. A cache may keep a copy, but has to ask here
// before each use of it, so that the caller of then is authorised, and what was deleted is gone; as
// content never changes, the answer is a 304. To let a cache answer by itself is the host's
// decision, in a handler around this one.
const cacheControl = "no-cache"

// etag is the entity tag of what has the digest. It is a strong one.
func etag(d digest.Digest) string { return `"` + string(d) + `"` }

// setContentHeaders sets the headers that GET and HEAD have in common.
func setContentHeaders(h http.Header, mediaType string, d digest.Digest) {
	h.Set("Content-Type", mediaType)
	h.Set("Docker-Content-Digest", string(d))
	h.Set("Etag", etag(d))
	h.Set("Cache-Control", cacheControl)
}

func (c *call) getManifest() error {
	ctx := handover.NewContext(c.req.Context(), &c.claim)
	defer c.claim.Close()
	m, err := c.backend.GetManifest(ctx, c.op.Repository, c.op.Ref)
	if err != nil {
		return err
	}
	return c.writeManifest(m.Descriptor, m.Content)
}

func (c *call) headManifest() error {
	desc, err := c.backend.StatManifest(c.req.Context(), c.op.Repository, c.op.Ref, renew())
	if err != nil {
		return err
	}
	return c.writeManifest(desc, nil)
}

// writeManifest answers with a manifest, whatever the client says it accepts: clients of images
// know what to do with each type, and those that leave the header out are many. Range is ignored.
func (c *call) writeManifest(desc ocispec.Descriptor, content []byte) error {
	h := c.w.Header()
	setContentHeaders(h, desc.MediaType, desc.Digest)
	// The media type is the pusher's choice: if it is one that a browser shows, it can do nothing
	// there.
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	if lines := c.req.Header.Values("If-Match"); len(lines) > 0 && !matchesStrongly(lines, desc.Digest) {
		return ErrPreconditionFailed
	}
	if matchesWeakly(c.req.Header.Values("If-None-Match"), desc.Digest) {
		h.Del("Content-Type")
		return c.writeEmpty(http.StatusNotModified)
	}
	h.Set("Content-Length", strconv.FormatInt(desc.Size, 10))
	c.send(http.StatusOK, content)
	return nil
}

// renew are the options of a HEAD: clients do not send what it finds.
func renew() *StatOptions {
	return &StatOptions{Renew: func(context.Context) bool { return true }}
}

func (c *call) headBlob() error {
	desc, err := c.backend.StatBlob(c.req.Context(), c.op.Repository, c.op.Ref.Digest, renew())
	if err != nil {
		return err
	}
	return c.serveContent(desc, nil)
}

func (c *call) getBlob() error {
	b, err := c.backend.OpenBlob(c.req.Context(), c.op.Repository, c.op.Ref.Digest,
		&OpenOptions{AllowURL: !c.wantsChoice()})
	if err != nil {
		return err
	}
	if b.URL != "" {
		c.w.Header().Set("Location", b.URL)
		c.w.Header().Set("Docker-Content-Digest", string(c.op.Ref.Digest))
		c.w.Header().Set("Cache-Control", "no-store") // the URL expires
		return c.writeEmpty(http.StatusTemporaryRedirect)
	}
	return c.serveContent(b.Descriptor, b.Body)
}

// wantsChoice reports whether what the request wants of a blob depends on entity tags, or is
// several ranges. Stores that clients are redirected to have other entity tags, and send the whole
// blob instead of several ranges.
func (c *call) wantsChoice() bool {
	h := c.req.Header
	for _, key := range []string{"If-Match", "If-None-Match", "If-Range"} {
		if len(h.Values(key)) > 0 {
			return true
		}
	}
	return strings.Contains(h.Get("Range"), ",")
}

// serveContent answers with a blob or with what the request wants of it; from is nil for HEAD.
// Conditions and ranges are http.ServeContent's affair. It is spared what RFC 9110, section 14.2,
// says may be ignored, and its error pages are not sent.
func (c *call) serveContent(desc ocispec.Descriptor, from io.ReadSeekCloser) error {
	body := &content{size: desc.Size, from: from}
	defer body.close()
	h := c.w.Header()
	setContentHeaders(h, "application/octet-stream", c.op.Ref.Digest)
	req, ok := withDecided(c.req, c.op.Ref.Digest)
	if !ok {
		return ErrPreconditionFailed
	}
	if len(req.Header["Range"]) > 0 {
		req = req.Clone(req.Context())
		req.Header.Del("Range")
		if r := usefulRange(c.req.Header["Range"], desc.Size); r != "" && req.Method == http.MethodGet {
			req.Header.Set("Range", r)
			body.parts, body.real = partsOf(r), -1 // so that even the start is sought, and its part made known
		}
	}
	w := &contentWriter{pacedWriter: c.w, size: desc.Size}
	http.ServeContent(w, req, "", unknownTime, body)
	switch w.status {
	case http.StatusRequestedRangeNotSatisfiable:
		h.Set("Content-Range", "bytes */"+strconv.FormatInt(desc.Size, 10))
		return errRange
	case http.StatusPreconditionFailed:
		return ErrPreconditionFailed
	}
	if w.status >= 400 {
		return errors.Join(errors.New("a blob cannot be served"), body.failure())
	}
	if c.req.Method == http.MethodHead || w.status == http.StatusNotModified {
		w.send()
		return nil
	}
	return c.finishContent(w, body)
}

// finishContent sees to it that what was sent is whole, or does not look so.
func (c *call) finishContent(w *contentWriter, body *content) error {
	if w.sent && w.written == w.want {
		return nil
	}
	failure := body.failure()
	if !w.sent {
		if w.want == 0 && failure == nil {
			w.send()
			return nil
		}
		c.w.Header().Del("Content-Range")
		return errors.Join(io.ErrUnexpectedEOF, failure)
	}
	if c.req.Context().Err() == nil && failure != nil {
		c.r.log.ErrorContext(c.req.Context(), "response cut off", "method", c.req.Method, "path", LogPath(c.req), "error",
			failure)
	}
	c.cut()
	return nil
}

// cut ends a response that is not whole, so that no client takes it for whole. Middleware of the
// host may recover from the panic and go on to end the response properly, which for a body of
// unknown length would look whole: so first the deadline is set to the past, and nothing can be
// written any more. Behind middleware that hides the deadline, a connection of HTTP/1.1 is closed.
func (c *call) cut() {
	if c.body.rc.SetWriteDeadline(time.Unix(1, 0)) != nil && c.req.ProtoMajor == 1 {
		if conn, _, err := c.body.rc.Hijack(); err == nil {
			_ = conn.Close() // nobody is told of it
		}
	}
	panic(http.ErrAbortHandler)
}

var errRange = &Error{code: "SIZE_INVALID", status: http.StatusRequestedRangeNotSatisfiable,
	message: "the requested range is malformed or beyond the end"}
