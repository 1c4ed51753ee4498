package queue

import "github.com/registrykit/registry/notification"

// ring is a first-in-first-out list of events. Its memory grows up to max events and is used again.
type ring struct {
	max    int
	events []notification.Event
	first  int // index of the oldest event
	n      int // number of events
}

// push adds as many of events as there is room for, and returns their number.
func (r *ring) push(events []notification.Event) int {
	added := min(len(events), r.max-r.n)
	if r.n+added > len(r.events) {
		r.grow(r.n + added)
	}
	for _, e := range events[:added] {
		r.events[(r.first+r.n)%len(r.events)] = e
		r.n++
	}
	return added
}

func (r *ring) grow(atLeast int) {
	bigger := make([]notification.Event, min(max(2*len(r.events), atLeast, 16), r.max))
	for i := range r.n {
		bigger[i] = *r.at(i)
	}
	r.events, r.first = bigger, 0
}

// pop removes and returns the oldest events, at most n.
func (r *ring) pop(n int) []notification.Event {
	out := make([]notification.Event, min(n, r.n))
	for i := range out {
		e := r.at(0)
		out[i], *e = *e, notification.Event{}
		r.first = (r.first + 1) % len(r.events)
		r.n--
	}
	return out
}

// at returns the event at index i, counted from the oldest.
func (r *ring) at(i int) *notification.Event { return &r.events[(r.first+i)%len(r.events)] }
