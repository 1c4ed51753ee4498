package queue

import "github.com/registrykit/registry/notification"

// ring is a first-in-first-out list of events. Its memory grows up to max events, and is used
// again.
type ring struct {
	max    int
	events []notification.Event
	first  int // index of the oldest event
	n      int // number of events
}

// push adds as many of events as there is room for, and returns their number.
func (r *ring) push(events []notification.Event) int {
	events = events[:min(len(events), r.max-r.n)]
	if need := r.n + len(events); need > len(r.events) {
		r.grow(need)
	}
	if len(events) > 0 {
		end := (r.first + r.n) % len(r.events)
		n := copy(r.events[end:], events)
		copy(r.events, events[n:])
		r.n += len(events)
	}
	return len(events)
}

// grow makes room for need events or more.
func (r *ring) grow(need int) {
	n := r.n
	bigger := make([]notification.Event, min(max(2*len(r.events), need, 16), r.max))
	copy(bigger, r.pop(n))
	r.events, r.first, r.n = bigger, 0, n
}

// pop removes the oldest events, at most n, and returns them in a new slice.
func (r *ring) pop(n int) []notification.Event {
	out := make([]notification.Event, min(n, r.n))
	if len(out) == 0 {
		return nil
	}
	head := r.events[r.first:min(r.first+len(out), len(r.events))]
	k := copy(out, head)
	clear(head) // so that the ring does not keep what the events point at
	tail := r.events[:len(out)-k]
	copy(out[k:], tail)
	clear(tail)
	r.first = (r.first + len(out)) % len(r.events)
	r.n -= len(out)
	return out
}

// oldest returns the oldest event. There must be one.
func (r *ring) oldest() *notification.Event { return &r.events[r.first] }
