package registry

import (
	"net/http"
	"time"
)

const (
	// paceStep is added to each deadline, so that the deadline need not move with every few bytes.
	paceStep = time.Second
	// maxBuffered is the number of bytes that operating systems and HTTP/2 windows commonly buffer
	// between this process and a client. For these, nothing shows whether the client reads them.
	maxBuffered = 2 << 20
)

// pace is the time that a client has for sending or reading a body. It begins with
// Options.BodyTimeout, and each byte adds the time that Options.MinRate allows for it. Only waiting
// for the client uses up time; slow storage does not. Unused time is limited, so that a client that
// was fast cannot stall for long.
//
// A sent byte counts when the operating system takes it, which may be long before the client reads
// it. The limit of a client that reads therefore includes the time for maxBuffered bytes.
type pace struct {
	rc      *http.ResponseController
	set     func(*http.ResponseController, time.Time) error // sets the read or the write deadline
	timeout time.Duration                                   // not positive: no deadlines
	rate    int64                                           // bytes per second
	limit   time.Duration                                   // of left
	left    time.Duration                                   // time that has not been used
	began   time.Time                                       // when the present wait began
	until   time.Time                                       // the deadline in force, or zero
}

// newPace returns a pace without its set function.
func newPace(rc *http.ResponseController, o *Options) pace {
	return pace{rc: rc, timeout: o.BodyTimeout, rate: o.MinRate, limit: o.BodyTimeout, left: o.BodyTimeout}
}

// receiving returns the pace of a client that sends a body.
func receiving(rc *http.ResponseController, o *Options) pace {
	p := newPace(rc, o)
	p.set = (*http.ResponseController).SetReadDeadline
	return p
}

// sending returns the pace of a client that reads a body.
func sending(rc *http.ResponseController, o *Options) pace {
	p := newPace(rc, o)
	p.set = (*http.ResponseController).SetWriteDeadline
	p.limit += p.of(maxBuffered)
	return p
}

// of returns the time that the minimum rate allows for n bytes.
func (p *pace) of(n int64) time.Duration {
	return time.Duration(min(n, 1<<30)) * time.Second / time.Duration(p.rate)
}

// add adds the time for n bytes.
func (p *pace) add(n int64) { p.left = min(p.left+p.of(n), p.limit) }

// begin is called before a read or write that may wait for the client. The read or write fails once
// the time has been used up.
func (p *pace) begin() {
	if p.timeout <= 0 {
		return
	}
	p.began = time.Now()
	want := p.began.Add(p.left)
	if !want.After(p.until) {
		return
	}
	until := want.Add(min(paceStep, p.timeout))
	if p.set(p.rc, until) != nil {
		p.timeout = 0 // this ResponseWriter has no deadlines
		return
	}
	p.until = until
}

// end is called after that read or write.
func (p *pace) end() {
	if p.timeout > 0 {
		p.left -= time.Since(p.began)
	}
}

// pacedWriter is the http.ResponseWriter of all responses. It ends a response that its client does
// not read, by a write deadline: of the connection over HTTP/1.1, of the stream over HTTP/2.
// net/http sends the last bytes after the handler has returned, and only then removes the deadline.
type pacedWriter struct {
	http.ResponseWriter
	pace   pace
	ctx    *requestContext // has the warnings
	values headerValues
}

// init prepares w, the zero value, for a response.
func (w *pacedWriter) init(to http.ResponseWriter, rc *http.ResponseController, ctx *requestContext, o *Options) {
	w.ResponseWriter, w.pace, w.ctx = to, sending(rc, o), ctx
}

// set sets a header of the response. The key must be canonical.
func (w *pacedWriter) set(key, value string) { w.values.set(w.Header(), key, value) }

// Unwrap lets http.ResponseController find the methods of the inner ResponseWriter.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. It sets the deadline, because net/http may send all
// of a small response after the handler has returned.
func (w *pacedWriter) WriteHeader(status int) {
	for _, warning := range w.ctx.begin() {
		w.Header().Add("Warning", warning)
	}
	w.pace.begin()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *pacedWriter) Write(p []byte) (int, error) {
	w.pace.add(int64(len(p)))
	w.pace.begin()
	n, err := w.ResponseWriter.Write(p)
	w.pace.end()
	return n, err
}
