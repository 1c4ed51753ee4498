package registry

import (
	"net/http"
	"time"
)

const (
	// paceStep is how much later than needed a deadline is set, so that it need not be moved with every few bytes.
	paceStep = time.Second
	// maxBuffered is how many bytes can lie between this process and a client without a sign of whether the client takes them: what
	// systems and HTTP/2 windows commonly hold before a write waits, or goes on.
	maxBuffered = 2 << 20
)

// pace is the time that a client has to send or to take a body, on average over a while: Options.BodyTimeout and, for each byte, the
// time that Options.MinRate gives it. Only waiting for the client uses this time up, and slow storage does not. Time that is left over
// adds up to a limit, so that a client that was fast cannot stall for long.
//
// Bytes that are sent are counted when they are handed to the system, which is early by what it holds for the client. So a client may
// use up the time of maxBuffered bytes more.
type pace struct {
	rc      *http.ResponseController
	set     func(*http.ResponseController, time.Time) error
	timeout time.Duration // not positive: no limit
	rate    int64         // bytes per second
	limit   time.Duration // of left
	left    time.Duration
	began   time.Time // the present wait
	until   time.Time // the deadline in force; zero if none is
}

func newPace(rc *http.ResponseController, o *Options) pace {
	return pace{rc: rc, timeout: o.BodyTimeout, rate: o.MinRate, limit: o.BodyTimeout, left: o.BodyTimeout}
}

// receiving returns the pace of a client that sends a body.
func receiving(rc *http.ResponseController, o *Options) pace {
	p := newPace(rc, o)
	p.set = (*http.ResponseController).SetReadDeadline
	return p
}

// sending returns the pace of a client that takes a body.
func sending(rc *http.ResponseController, o *Options) pace {
	p := newPace(rc, o)
	p.set = (*http.ResponseController).SetWriteDeadline
	p.limit += p.of(maxBuffered)
	return p
}

// of returns the time that n bytes may take.
func (p *pace) of(n int64) time.Duration {
	return time.Duration(min(n, 1<<30)) * time.Second / time.Duration(p.rate)
}

// add gives the client the time for n bytes.
func (p *pace) add(n int64) { p.left = min(p.left+p.of(n), p.limit) }

// begin begins a wait for the client: a read or write of the connection fails when the time is up.
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
		p.timeout = 0 // not every ResponseWriter has deadlines
		return
	}
	p.until = until
}

// end ends a wait.
func (p *pace) end() {
	if p.timeout > 0 {
		p.left -= time.Since(p.began)
	}
}
