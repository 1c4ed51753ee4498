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

// cacheControl is sent with everything that can be read. A cache may keep a copy, but must ask the
// registry before each use. The caller of that time is then authorised, and deleted content is
// gone. Content never changes, so the response is a 304. A host can let caches respond by
// themselves, in a handler around this one.
const cacheControl = "no-cache"

// etag returns the strong entity tag of a digest.
func etag(d digest.Digest) string { return `"` + string(d) + `"` }

// setContentHeaders sets the headers that GET and HEAD share.
func setContentHeaders(h http.Header, mediaType string, d digest.Digest) {
	h.Set("Content-Type", mediaType)
	h.Set("Docker-Content-Digest", string(d))
	h.Set("Etag", etag(d))
	h.Set("Cache-Control", cacheControl)
}

func (c *call) getManifest() error {
	ctx := handover.NewContext(&c.ctx, &c.claim)
	defer c.claim.Close()
	m, err := c.backend.GetManifest(ctx, c.op.Repository, c.op.Ref)
	if err != nil {
		return err
	}
	return c.writeManifest(m.Descriptor, m.Content)
}

func (c *call) headManifest() error {
	desc, err := c.backend.StatManifest(&c.ctx, c.op.Repository, c.op.Ref, renew())
	if err != nil {
		return err
	}
	return c.writeManifest(desc, nil)
}

// writeManifest sends a manifest. It ignores Accept, because image clients know every type and many
// send no Accept. It ignores Range, too.
func (c *call) writeManifest(desc ocispec.Descriptor, content []byte) error {
	h := c.w.Header()
	setContentHeaders(h, desc.MediaType, desc.Digest)
	// The media type is that of the push. If a browser renders it, the policy keeps it from doing
	// anything.
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

// renew returns the options of a HEAD. A client does not upload content that HEAD finds, so the
// content must stay for a while.
func renew() *StatOptions {
	return &StatOptions{Renew: func(context.Context) bool { return true }}
}

func (c *call) headBlob() error {
	desc, err := c.backend.StatBlob(&c.ctx, c.op.Repository, c.op.Ref.Digest, renew())
	if err != nil {
		return err
	}
	return c.serveContent(desc, nil)
}

func (c *call) getBlob() error {
	b, err := c.backend.OpenBlob(&c.ctx, c.op.Repository, c.op.Ref.Digest,
		&OpenOptions{AllowURL: !c.wantsChoice(), Range: rangeHint(c.req.Header, c.op.Ref.Digest)})
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

// wantsChoice reports whether the response depends on entity tags or has several ranges. A store to
// which clients are redirected has other entity tags, and sends the whole blob instead of several
// ranges.
func (c *call) wantsChoice() bool {
	h := c.req.Header
	for _, key := range []string{"If-Match", "If-None-Match", "If-Range"} {
		if len(h.Values(key)) > 0 {
			return true
		}
	}
	return strings.Contains(h.Get("Range"), ",")
}

// serveContent sends a blob, or the requested parts of it. from is nil for HEAD. http.ServeContent
// handles conditions and ranges, but gets only ranges that are worth serving (RFC 9110, section
// 14.2), and its error pages are not sent.
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
			body.parts, body.real = partsOf(r), -1 // so that align also announces the first part
		}
	}
	w := &contentWriter{pacedWriter: c.w, buffers: &c.r.buffers, size: desc.Size}
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

// finishContent ensures that an incomplete response does not look complete.
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

// cut ends an incomplete response so that no client takes it for complete. Middleware of the host
// may recover from the panic and end the response properly; a body of unknown length would then
// look complete. cut therefore first sets the write deadline to the past, so that nothing more can
// be written. If middleware hides the deadline, cut closes the connection of an HTTP/1.1 request.
func (c *call) cut() {
	if c.body.rc.SetWriteDeadline(time.Unix(1, 0)) != nil && c.req.ProtoMajor == 1 {
		if conn, _, err := c.body.rc.Hijack(); err == nil {
			_ = conn.Close() // nothing can be done about an error
		}
	}
	panic(http.ErrAbortHandler)
}

var errRange = &Error{code: "SIZE_INVALID", status: http.StatusRequestedRangeNotSatisfiable,
	message: "the requested range is malformed or beyond the end"}
