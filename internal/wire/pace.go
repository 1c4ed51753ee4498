package wire

import (
	"io"
	"net/http"
	"time"
)

const (
	// patience is how long a client may make a handler wait, beyond the time that minRate allows.
	patience = time.Minute
	// minRate is the average rate at which a client must send or read, in bytes per second.
	minRate = 4 << 10
)

// Pace returns a handler that limits how long a client can hold up next: by a body that it announces
// and does not send, or by not reading the response. Reads of the body fail then, and writes fail. A
// client has a minute, and each byte adds the time for it at 4 KiB per second. The time in which
// next does not wait for the client does not count, so next may take as long as it needs.
//
// Pace is for handlers outside the registry, which has its own limits. It has no effect on a
// ResponseWriter without deadlines.
func Pace(next http.Handler) http.Handler { return paceBy(next, patience) }

func paceBy(next http.Handler, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		body := &pacedBody{ReadCloser: r.Body, http1: r.ProtoMajor == 1,
			waiting: waiting{set: rc.SetReadDeadline, patience: patience, left: patience}}
		to := &pacedWriter{ResponseWriter: w, body: body,
			waiting: waiting{set: rc.SetWriteDeadline, patience: patience, left: patience}}
		if r.Body == nil || r.Body == http.NoBody {
			body.ended = true
		} else {
			r = r.WithContext(r.Context()) // a copy, because r belongs to the caller
			r.Body = body
		}
		defer to.begin() // net/http sends the last bytes after the handler has returned
		next.ServeHTTP(to, r)
	})
}

// waiting is the time that a client has in one direction.
type waiting struct {
	set            func(time.Time) error // sets the deadline
	patience, left time.Duration
}

// do calls a function that waits for the client.
func (w *waiting) do(f func() (int, error)) (int, error) {
	began := time.Now()
	_ = w.set(began.Add(w.left)) // it fails for a ResponseWriter without deadlines
	n, err := f()
	w.left -= time.Since(began)
	return n, err
}

// add adds the time for n bytes.
func (w *waiting) add(n int) {
	w.left = min(w.left, w.patience) + time.Duration(n)*time.Second/minRate
}

// pacedBody is a body whose client must send it.
type pacedBody struct {
	io.ReadCloser
	waiting
	http1, ended bool
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.ended {
		return b.ReadCloser.Read(p)
	}
	n, err := b.do(func() (int, error) { return b.ReadCloser.Read(p) })
	b.add(n)
	if err != nil {
		// From here on, the server watches the connection, and would take a deadline for its end.
		b.ended = true
		if err == io.EOF {
			_ = b.set(time.Time{})
		}
	}
	return n, err
}

// pacedWriter is a response that its client must read.
type pacedWriter struct {
	http.ResponseWriter
	waiting
	body *pacedBody
}

// Unwrap lets http.ResponseController find the methods of the inner ResponseWriter.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// begin sets the deadlines before the response, or what is left of it, is sent.
func (w *pacedWriter) begin() {
	w.drain()
	_ = w.set(time.Now().Add(max(w.left, 0)))
}

// drain limits the wait of net/http for the rest of the body.
func (w *pacedWriter) drain() {
	if w.body.http1 && !w.body.ended {
		_ = w.body.set(time.Now().Add(min(drainTimeout, w.patience/2))) // before the deadline of the response
	}
}

func (w *pacedWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *pacedWriter) Write(p []byte) (int, error) {
	w.add(len(p))
	w.drain()
	return w.do(func() (int, error) { return w.ResponseWriter.Write(p) })
}
