package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/handover"
)

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
	desc, err := c.backend.StatManifest(&c.ctx, c.op.Repository, c.op.Ref, alwaysRenew)
	if err != nil {
		return err
	}
	return c.writeManifest(desc, nil)
}

// writeManifest sends a manifest. It ignores Accept, because image clients know every type and many
// send no Accept. It ignores Range, too.
func (c *call) writeManifest(desc ocispec.Descriptor, content []byte) error {
	c.setContentHeaders(desc.MediaType, desc.Digest)
	// The media type is that of the push. If a browser renders it, the policy keeps it from doing
	// anything.
	c.w.set("Content-Security-Policy", "default-src 'none'; sandbox")
	if lines := c.req.Header["If-Match"]; len(lines) > 0 && !matchesStrongly(lines, desc.Digest) {
		return ErrPreconditionFailed
	}
	if matchesWeakly(c.req.Header["If-None-Match"], desc.Digest) {
		delete(c.w.Header(), "Content-Type")
		return c.writeEmpty(http.StatusNotModified)
	}
	c.w.set("Content-Length", strconv.FormatInt(desc.Size, 10))
	c.send(http.StatusOK, content)
	return nil
}

// alwaysRenew are the options of a HEAD. A client does not upload content that HEAD finds, so the
// content must stay for a while.
var alwaysRenew = &StatOptions{Renew: func(context.Context) bool { return true }}

func (c *call) headBlob() error {
	desc, err := c.backend.StatBlob(&c.ctx, c.op.Repository, c.op.Ref.Digest, alwaysRenew)
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
		c.w.set("Location", b.URL)
		c.w.set("Docker-Content-Digest", string(c.op.Ref.Digest))
		c.w.set("Cache-Control", "no-store") // the URL expires
		return c.writeEmpty(http.StatusTemporaryRedirect)
	}
	return c.serveContent(b.Descriptor, b.Body)
}

// wantsChoice reports whether the response depends on entity tags or has several ranges. A store to
// which clients are redirected has other entity tags, and sends the whole blob instead of several
// ranges.
func (c *call) wantsChoice() bool {
	h := c.req.Header
	return len(h["If-Match"]) > 0 || len(h["If-None-Match"]) > 0 || len(h["If-Range"]) > 0 ||
		strings.Contains(h.Get("Range"), ",")
}

// serveContent sends a blob, or the requested parts of it (RFC 9110, sections 13 and 14). from is
// nil for HEAD. A blob has no time, so conditions on times do not count.
func (c *call) serveContent(desc ocispec.Descriptor, from io.ReadSeekCloser) error {
	if from != nil {
		defer func() { _ = from.Close() }() // the response does not depend on it any more
	}
	d, h := c.op.Ref.Digest, c.w.Header()
	c.setContentHeaders(blobMediaType, d)
	if lines := c.req.Header["If-Match"]; len(lines) > 0 && !matchesStrongly(lines, d) {
		return ErrPreconditionFailed
	}
	if lines := c.req.Header["If-None-Match"]; len(lines) > 0 && matchesWeakly(lines, d) {
		h.Del("Content-Type")
		h.Del("Content-Encoding")
		return c.writeEmpty(http.StatusNotModified)
	}
	parts, ok := c.requestedParts(desc.Size)
	if !ok {
		c.w.set("Content-Range", "bytes */"+strconv.FormatInt(desc.Size, 10))
		return errRange
	}
	c.w.set("Accept-Ranges", "bytes")
	status, length := http.StatusOK, desc.Size
	var multi *multipart
	switch len(parts) {
	case 0:
	case 1:
		status, length = http.StatusPartialContent, parts[0].size()
		c.w.set("Content-Range", parts[0].contentRange(desc.Size))
	default:
		multi = newMultipart(parts, desc.Size)
		status, length = http.StatusPartialContent, multi.size
		c.w.set("Content-Type", multi.mediaType())
	}
	// Middleware that has set Content-Encoding changes the length of the body.
	if len(parts) > 0 || h.Get("Content-Encoding") == "" {
		c.w.set("Content-Length", strconv.FormatInt(length, 10))
	}
	if from == nil {
		c.w.WriteHeader(status)
		return nil
	}
	w := &contentWriter{pacedWriter: c.w, buffers: c.r.buffers, from: from, status: status, want: length}
	var err error
	switch {
	case multi != nil:
		err = multi.send(w)
	case len(parts) == 1:
		w.real, w.until = -1, parts[0].end // so that align also announces the part
		err = w.sendPart(parts[0])
	default:
		err = w.sendPart(part{0, desc.Size})
	}
	return c.finishContent(w, err)
}

// blobMediaType is the Content-Type of every blob. Only manifests know what the bytes are.
const blobMediaType = "application/octet-stream"

// finishContent ensures that a response that is incomplete because of err does not look complete.
func (c *call) finishContent(w *contentWriter, err error) error {
	if err == nil && w.written == w.want {
		w.send() // the blob may be empty
		return nil
	}
	if !w.sent {
		c.w.Header().Del("Content-Range")
		return errors.Join(io.ErrUnexpectedEOF, w.failure)
	}
	if c.req.Context().Err() == nil && w.failure != nil {
		c.r.log.ErrorContext(&c.ctx, "response cut off", "method", c.req.Method, "path", LogPath(c.req), "error",
			w.failure)
	}
	c.cut()
	return nil
}

// cut ends an incomplete response so that no client takes it for complete. Middleware of the host
// may recover from the panic and end the response properly; a body of unknown length would then
// look complete. cut therefore first sets the write deadline to the past, so that nothing more can
// be written. If middleware hides the deadline, cut closes the connection of an HTTP/1.1 request.
func (c *call) cut() {
	if c.rc.SetWriteDeadline(time.Unix(1, 0)) != nil && c.req.ProtoMajor == 1 {
		if conn, _, err := c.rc.Hijack(); err == nil {
			_ = conn.Close() // nothing can be done about an error
		}
	}
	panic(http.ErrAbortHandler)
}

var errRange = &Error{code: "SIZE_INVALID", status: http.StatusRequestedRangeNotSatisfiable,
	message: "the requested range is malformed or beyond the end"}
