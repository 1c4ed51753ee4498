package sse

import "time"

const (
	// maxReplayed is the maximum number of events whose repetition is recognized.
	maxReplayed = 10_000
	// replayTime is how long they are remembered, far longer than the follower is behind.
	replayTime = time.Minute
)

// replayed remembers the last events that a client got from the Source itself. The follower may be
// behind, and bring them again.
type replayed struct {
	ids   map[string]struct{}
	list  []string // a ring, once it is full
	next  int
	added time.Time // when the last one was added
}

// add remembers an event.
func (r *replayed) add(id string) {
	if r.ids == nil {
		r.ids = map[string]struct{}{}
	}
	if len(r.list) < maxReplayed {
		r.list = append(r.list, id)
	} else {
		delete(r.ids, r.list[r.next])
		r.list[r.next] = id
		r.next = (r.next + 1) % maxReplayed
	}
	r.ids[id] = struct{}{}
	r.added = time.Now()
}

// repeated reports whether an event was added in the last minute.
func (r *replayed) repeated(id string) bool {
	if r.ids != nil && time.Since(r.added) > replayTime {
		*r = replayed{}
	}
	_, ok := r.ids[id]
	return ok
}
