package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/pause"
)

const (
	// maxRest is the maximum time that a URL rests.
	maxRest = time.Minute
	// maxStrikes is the number of responses with 500 in a row after which a URL rests.
	maxStrikes = 3
)

// health is what is known of a server: whether it responds, and if not, when it may be asked again.
// It keeps no lock while anything is sent.
type health struct {
	least time.Duration // of a rest

	mu       sync.Mutex
	failures int       // the rests since the last answer
	strikes  int       // the responses with 500 since the last answer
	until    time.Time // the end of the rest
	failed   time.Time // when the rest began
	answered time.Time // when the last answer came
	probe    *flight   // the request that finds out whether the server responds again, or nil
	waiting  map[*flight]struct{}
}

// flight is a request that waits for the header of its response.
type flight struct {
	began  time.Time
	sent   bool // whether it waits for the server, and not for a slot
	cancel context.CancelCauseFunc
	ended  chan struct{} // closed when the flight has ended
}

func newHealth(rest time.Duration) *health {
	return &health{least: rest, waiting: map[*flight]struct{}{}}
}

// resting is returned while a server rests, or is being asked whether it responds again.
type resting struct {
	wait  time.Duration   // until the server may be asked
	probe <-chan struct{} // unless nil, is closed when the result of the probing request is known
}

// Error implements error.
func (*resting) Error() string { return "upstream: the server does not respond, and is left alone" }

// state returns a *resting if a request would be refused now.
func (h *health) state() *resting {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refusal(time.Now())
}

func (h *health) refusal(now time.Time) *resting {
	switch {
	case h.failures == 0:
		return nil
	case now.Before(h.until):
		return &resting{wait: h.until.Sub(now)}
	case h.probe != nil:
		return &resting{wait: time.Second, probe: h.probe.ended}
	}
	return nil
}

// begin registers a request that is about to be sent. cancel ends it if the server turns out not to
// respond. The caller must call one of answer, fail and leave.
//
// Errors: *resting.
func (h *health) begin(cancel context.CancelCauseFunc) (*flight, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if r := h.refusal(now); r != nil {
		return nil, r
	}
	f := &flight{began: now, cancel: cancel, ended: make(chan struct{})}
	h.waiting[f] = struct{}{}
	if h.failures > 0 {
		h.probe = f
	}
	return f, nil
}

// send notes that the request is sent now, after it has waited for a slot.
func (h *health) send(f *flight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.began, f.sent = time.Now(), true
}

// answer notes that the server responds.
func (h *health) answer(f *flight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures, h.strikes = 0, 0
	h.answered = time.Now()
	h.end(f)
}

// leave notes that the request ended for a reason that says nothing about the server.
func (h *health) leave(f *flight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.end(f)
}

// fail notes that the server does not respond. Unless it has answered since the request was sent, it
// rests, at least for the time retry, and requests that wait for it fail: after a timeout all, and
// otherwise those that are not sent yet. The result is false if another request has found out the
// same meanwhile.
func (h *health) fail(f *flight, reason error, retry time.Duration) (news bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.end(f)
	switch {
	case h.failedSince(f):
		return false
	case h.answered.After(f.began):
		return true // only this request has failed
	}
	h.rest(retry)
	for other := range h.waiting {
		if other != f && (reason == errTimeout || !other.sent) {
			other.cancel(errFollows)
		}
	}
	return true
}

// strike notes a response with 500. The server rests after several in a row.
func (h *health) strike(f *flight) {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.end(f)
	if h.strikes++; (h.strikes >= maxStrikes || h.failures > 0) && !h.failedSince(f) {
		h.rest(0)
	}
}

// stall notes that the server has sent nothing but a header since the time began.
func (h *health) stall(began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failed.Before(began) {
		h.rest(0)
	}
}

// rest begins a rest. The caller holds h.mu.
func (h *health) rest(least time.Duration) {
	h.failures++
	h.failed = time.Now()
	// Backoff takes away up to a quarter, so the result is at least h.least.
	first := h.least / 3 * 4
	d := pause.Backoff(h.failures, first, max(first, maxRest))
	h.until = h.failed.Add(max(d, min(least, maxRest)))
}

// end ends a request. The caller holds h.mu.
func (h *health) end(f *flight) {
	if _, ok := h.waiting[f]; !ok {
		return
	}
	delete(h.waiting, f)
	if h.probe == f {
		h.probe = nil
	}
	close(f.ended)
}

// down reports whether the server has not responded lately.
func (h *health) down() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failures > 0
}

// failedSince reports whether a rest has begun since f was sent. The caller holds h.mu.
func (h *health) failedSince(f *flight) bool { return !h.failed.IsZero() && !h.failed.Before(f.began) }
