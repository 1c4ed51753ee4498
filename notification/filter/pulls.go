package filter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// PullsOptions are the options of [NewPulls].
type PullsOptions struct {
	// Interval is the time for which pulls are collected. Default: one minute. A negative value is
	// an error.
	Interval time.Duration
	// MaxKeys is the maximum number of manifests and blobs whose pulls are collected at the same
	// time. The pull of a further one is passed on at once, as an event of its own. Up to twice the
	// number are in memory while the next sink fails, at about 500 bytes each. Default: 10,000. A
	// negative value is an error.
	MaxKeys int
	// Flush is the maximum time for passing on what is left when the context of Run ends. Default:
	// 5 seconds. A negative value is an error.
	Flush time.Duration
	// OnError is called by Run when the next sink returned an error. The events are passed on again
	// after another interval. Default: errors are ignored.
	OnError func(error)
}

// maxPullTags is the maximum number of different tags of a merged event.
const maxPullTags = 32

// Pulls is a Sink that merges the pulls of the same content. All other events are passed on at
// once. Use [NewPulls], and start Run.
//
// If a manifest or blob is pulled once in an interval, its event is passed on as it came. Otherwise
// it is the event of the last pull, with a new ID, the number of pulls as Count, and the tags of
// all pulls, at most 32. Actor and Instance are set if all pulls had them in common, and Request is
// nil.
//
// Pulls that are in memory are lost in a crash. An outbox behind Pulls stores the merged events.
type Pulls struct {
	next notification.Sink
	o    PullsOptions

	sending sync.Mutex // held while merged events are passed on

	mu      sync.Mutex
	running bool
	merged  map[pullKey]*notification.Event // their Count is set
	unsent  []notification.Event            // taken from merged, and not delivered yet
}

// pullKey is what the pulls have in common that are merged.
type pullKey struct {
	repository string
	kind       notification.Kind
	digest     string
}

func keyOf(e *notification.Event) pullKey {
	return pullKey{e.Repository, e.Kind, string(e.Target.Digest)}
}

// NewPulls returns a Sink that passes events on to next. It starts nothing.
//
// Errors: an error is returned if next is nil or an option is negative.
func NewPulls(next notification.Sink, opts *PullsOptions) (*Pulls, error) {
	o := options.Value(opts)
	switch {
	case next == nil:
		return nil, errors.New("filter: the next sink is nil")
	case o.Interval < 0 || o.MaxKeys < 0 || o.Flush < 0:
		return nil, errors.New("filter: negative option of NewPulls")
	}
	if o.Interval == 0 {
		o.Interval = time.Minute
	}
	if o.MaxKeys == 0 {
		o.MaxKeys = 10_000
	}
	if o.Flush == 0 {
		o.Flush = 5 * time.Second
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	return &Pulls{next: next, o: o, merged: map[pullKey]*notification.Event{}}, nil
}

// Notify collects pulls, and passes on all other events. An error is that of the next sink, with
// the number of delivered events in terms of what Notify was given; see [New].
func (p *Pulls) Notify(ctx context.Context, events []notification.Event) error {
	collected := p.choose(events)
	i := -1
	err := deliver(ctx, p.next, events, func(e *notification.Event) (notification.Event, bool) {
		i++
		return *e, !collected[i]
	})
	// The caller repeats the events that are not delivered, so their pulls must not count yet.
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events[:notification.Delivered(err, len(events))] {
		if collected[i] {
			p.collect(&events[i])
		}
	}
	return err
}

// choose returns which of the events are pulls to collect.
func (p *Pulls) choose(events []notification.Event) []bool {
	chosen := make([]bool, len(events))
	p.mu.Lock()
	defer p.mu.Unlock()
	room := p.o.MaxKeys - len(p.merged)
	for i := range events {
		e := &events[i]
		if e.Action != notification.Pull || e.Target == nil {
			continue
		}
		if _, known := p.merged[keyOf(e)]; !known {
			if room <= 0 {
				continue
			}
			room--
		}
		chosen[i] = true
	}
	return chosen
}

// collect adds a pull to the merged ones. The caller holds p.mu.
func (p *Pulls) collect(e *notification.Event) {
	if into, ok := p.merged[keyOf(e)]; ok {
		merge(into, e)
		return
	}
	first := *e
	first.Count = max(first.Count, 1)
	p.merged[keyOf(e)] = &first
}
