package registry

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// The limits of what is read and discarded of the body of a refused request.
const (
	maxDrain     = 8 << 20
	drainTimeout = 5 * time.Second
	// smallRest is what net/http reads by itself before it responds, to keep the connection usable.
	smallRest = 256 << 10
)

var (
	// errBodyStalled is returned when a body arrives too slowly, or not at all.
	errBodyStalled = &Error{code: "SIZE_INVALID", status: http.StatusRequestTimeout,
		message: "the request body makes too little progress"}
	// errBodyBroken is returned when a body ends too early or is malformed.
	errBodyBroken = &Error{code: "SIZE_INVALID", status: http.StatusBadRequest,
		message: "the request body is cut short or malformed"}
)

// requestBody is the body of a request. It sets a read deadline on the connection that moves along
// with the progress of the client. Its errors are those that the client gets.
type requestBody struct {
	req  *http.Request
	w    http.ResponseWriter
	rc   *http.ResponseController
	pace pace

	read    int64 // bytes
	started bool
	ended   bool // at the end of the body
	failed  bool // a read has failed
}

// init prepares b, the zero value, for the body of a request.
func (b *requestBody) init(w http.ResponseWriter, rc *http.ResponseController, req *http.Request, o *Options) {
	b.req, b.w, b.rc = req, w, rc
	if b.ended = req.Body == nil || req.Body == http.NoBody; b.ended {
		return
	}
	b.pace = receiving(rc, o)
	if req.ProtoMajor == 1 {
		b.pace.begin() // net/http reads a body before it responds, even if the handler does not
	}
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

// length returns the number of bytes that the client announced, or -1 if it announced none.
func (b *requestBody) length() int64 {
	if b.ended {
		return 0
	}
	return b.req.ContentLength
}

// atEnd reports whether the body has ended. It reads a byte to find out.
func (b *requestBody) atEnd() bool {
	if b.ended {
		return true
	}
	var p [1]byte
	n, err := io.ReadFull(b, p[:])
	return n == 0 && errors.Is(err, io.EOF)
}

// drain calls respond, which sends an error response, and discards for a while what the client
// still sends. If the server closed the connection with unread bytes, the client would see a broken
// connection instead of the response (RFC 9112, section 9.6).
func (b *requestBody) drain(respond func()) {
	// A client that waits for "100 Continue" has sent nothing.
	waits := !b.started && strings.EqualFold(b.req.Header.Get("Expect"), "100-continue")
	if b.ended || waits {
		respond()
		return
	}
	if b.req.ProtoMajor != 1 {
		// A reset would end only the stream, but it makes some clients discard the response.
		respond()
		if !b.failed && b.setDeadline(b.patience()) {
			_ = b.rc.Flush()
			b.discard()
		}
		return
	}
	canStop := !b.failed && b.setDeadline(b.patience())
	if rest := b.req.ContentLength - b.read; canStop && b.req.ContentLength >= 0 && rest < smallRest {
		respond()
		return
	}
	// The rest of the body must not be parsed as another request.
	b.w.Header().Set("Connection", "close")
	switch {
	case !canStop:
		respond()
	case b.rc.EnableFullDuplex() == nil: // the response need not wait for the body
		respond()
		_ = b.rc.Flush()
		b.discard()
	default:
		b.discard()
		respond()
	}
}

// patience returns how long drain waits for the rest of a body.
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

// finish is called after the response. If the body has not ended, net/http reads on for a bit; the
// deadline keeps a stalled client from holding it up.
func (b *requestBody) finish() {
	if !b.ended && !b.failed && b.req.ProtoMajor == 1 {
		b.setDeadline(b.patience())
	}
}

// end records the end of the body and removes the deadline. From here on the server watches the
// connection for a disconnect of the client, and would take an expired deadline for one.
func (b *requestBody) end() {
	b.ended = true
	if !b.pace.until.IsZero() {
		b.pace.until = time.Time{}
		_ = b.rc.SetReadDeadline(time.Time{})
	}
}

// setDeadline makes reads fail after d. It reports whether they will, because not every
// ResponseWriter supports deadlines.
func (b *requestBody) setDeadline(d time.Duration) bool {
	b.pace.until = time.Now().Add(d)
	return b.rc.SetReadDeadline(b.pace.until) == nil
}
