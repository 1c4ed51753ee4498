package registry

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// Bounds of what is read and thrown away of the body of a request that is refused.
const (
	maxDrain     = 8 << 20
	drainTimeout = 5 * time.Second
	// smallRest is what net/http reads by itself before it answers, so that the connection can be
	// used again.
	smallRest = 256 << 10
)

var (
	// errBodyStalled is for a body that makes no progress, or too little.
	errBodyStalled = &Error{code: "SIZE_INVALID", status: http.StatusRequestTimeout,
		message: "the request body makes too little progress"}
	// errBodyBroken is for a body that ends too early or is malformed.
	errBodyBroken = &Error{code: "SIZE_INVALID", status: http.StatusBadRequest,
		message: "the request body is cut short or malformed"}
)

// requestBody is the body of a request. It is given up when it makes too little progress, by a
// deadline of the connection that moves along with the progress. Its errors are those the client
// gets.
type requestBody struct {
	req  *http.Request
	w    http.ResponseWriter
	rc   *http.ResponseController
	pace pace

	read    int64 // bytes
	started bool
	ended   bool // nothing more will come
	failed  bool // nothing more can be read
}

func newRequestBody(w http.ResponseWriter, rc *http.ResponseController, req *http.Request, o *Options) *requestBody {
	b := &requestBody{req: req, w: w, rc: rc, pace: receiving(rc, o), ended: req.Body == nil || req.Body == http.NoBody}
	if !b.ended && req.ProtoMajor == 1 {
		b.pace.begin() // net/http reads a body before it answers, also if nobody else does
	}
	return b
}

// Read implements [io.Reader].
//
// Errors: errBodyStalled, errBodyBroken, ErrBlobTooLarge if the host limits the size.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.ended {
		return 0, io.EOF
	}
	b.started = true
	b.pace.begin()
	n, err := b.req.Body.Read(p)
	b.pace.end()
	b.pace.add(int64(n))
	b.read += int64(n)
	if err == nil {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		b.end()
		return n, io.EOF
	}
	b.failed = true
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, errBodyStalled.WithCause(err)
	case errors.As(err, &tooLarge):
		return n, ErrBlobTooLarge.WithMessage("the request body is too large").WithCause(err)
	}
	return n, errBodyBroken.WithCause(err)
}

// length is how many bytes the client says that it sends; -1 if it does not say.
func (b *requestBody) length() int64 {
	if b.ended {
		return 0
	}
	return b.req.ContentLength
}

// atEnd reports whether there is nothing more to read; to find that out it reads a byte.
func (b *requestBody) atEnd() bool {
	if b.ended {
		return true
	}
	var p [1]byte
	n, err := io.ReadFull(b, p[:])
	return n == 0 && errors.Is(err, io.EOF)
}

// drain calls answer, which sends an error, and reads on for a while what the client is still
// sending: if the connection were closed with bytes unread, the client would hear of a broken
// connection instead of the answer (RFC 9112, section 9.6).
func (b *requestBody) drain(answer func()) {
	// A client that waits for "100 Continue" has sent nothing.
	waits := !b.started && strings.EqualFold(b.req.Header.Get("Expect"), "100-continue")
	if b.ended || waits {
		answer()
		return
	}
	if b.req.ProtoMajor != 1 {
		// Only the stream would be reset, but there are clients that forget the answer for it.
		answer()
		if !b.failed && b.setDeadline(b.patience()) {
			_ = b.rc.Flush()
			b.discard()
		}
		return
	}
	canStop := !b.failed && b.setDeadline(b.patience())
	if rest := b.req.ContentLength - b.read; canStop && b.req.ContentLength >= 0 && rest < smallRest {
		answer()
		return
	}
	// Whatever is left on the connection must not be taken for another request.
	b.w.Header().Set("Connection", "close")
	switch {
	case !canStop:
		answer()
	case b.rc.EnableFullDuplex() == nil: // the answer need not wait for the body
		answer()
		_ = b.rc.Flush()
		b.discard()
	default:
		b.discard()
		answer()
	}
}

// patience is how long the rest of a body is waited for that nobody wants.
func (b *requestBody) patience() time.Duration {
	if t := b.pace.timeout; t > 0 {
		return min(t, drainTimeout)
	}
	return drainTimeout
}

func (b *requestBody) discard() {
	_, err := io.CopyN(io.Discard, b.req.Body, maxDrain)
	switch {
	case errors.Is(err, io.EOF):
		b.end()
	case err != nil:
		b.failed = true
	}
}

// finish is called when the request has been answered. If the body has not ended, net/http reads on
// for a bit, which a client that has stalled shall not hold up.
func (b *requestBody) finish() {
	if !b.ended && !b.failed && b.req.ProtoMajor == 1 {
		b.setDeadline(b.patience())
	}
}

// end notes that the body has been read to its end. From there on the server watches the connection
// for the client's going away, and a deadline would look like that to it.
func (b *requestBody) end() {
	b.ended = true
	if !b.pace.until.IsZero() {
		b.pace.until = time.Time{}
		_ = b.rc.SetReadDeadline(time.Time{})
	}
}

// setDeadline has reads fail after d, and reports whether they will: not every ResponseWriter can
// do that.
func (b *requestBody) setDeadline(d time.Duration) bool {
	b.pace.until = time.Now().Add(d)
	return b.rc.SetReadDeadline(b.pace.until) == nil
}
