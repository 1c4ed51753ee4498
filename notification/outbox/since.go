package outbox

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// Entry is an event of the log.
type Entry struct {
	// Event is the event.
	Event notification.Event
	// Cursor is the position after the event. [Outbox.Since] continues there. It is text of letters,
	// digits, "-" and "_": about 25 bytes for each stream that is open, and for each that was closed
	// lately, of which it has at most 256.
	Cursor string
}

// SinceOptions are the options of [Outbox.Since]. nil means the zero SinceOptions.
type SinceOptions struct {
	// Follow makes Since wait for new events at the end of the log, instead of ending. Default: false.
	Follow bool
	// Poll is how often a Since that follows looks for events of other processes. Default: 1 second.
	Poll time.Duration
}

const (
	defaultPoll = time.Second
	// skew is the maximum difference of the clocks of processes that share the storage. A stream
	// that appears later has no name that is this much smaller.
	skew = time.Hour
	// listStreams is how often a Since that follows lists the streams, in polls.
	listStreams = 5
)

// reader is the state of a call of Since.
type reader struct {
	o       *Outbox
	at      positions
	closed  map[string]bool // streams that are read to their marker
	whole   bool            // the reader has read nothing before
	trimmed time.Time       // before it, events of a stream were removed
	search  bool            // look for later batches where one is absent
}

// Since yields the stored events after cursor, which is that of an Entry or of [Outbox.End]. An
// empty cursor means all events that are kept. The events of each process come in their order;
// those of several processes come one process after the other, unless Since follows. If events
// after the cursor have been removed, an entry with the action Missing says so. opts may be nil.
//
// Errors: an error is the last element. ErrCursor is yielded for a malformed cursor.
func (o *Outbox) Since(ctx context.Context, cursor string, opts *SinceOptions) iter.Seq2[Entry, error] {
	so := options.Value(opts)
	if so.Poll <= 0 {
		so.Poll = defaultPoll
	}
	return func(yield func(Entry, error) bool) {
		r, err := o.newReader(cursor)
		if err == nil {
			err = r.run(ctx, so, yield)
		}
		if err != nil {
			yield(Entry{}, err)
		}
	}
}

// newReader returns a reader that begins at cursor.
//
// Errors: ErrCursor.
func (o *Outbox) newReader(cursor string) (*reader, error) {
	at, err := parsePositions(cursor)
	return &reader{o: o, at: at, closed: map[string]bool{}, whole: cursor == ""}, err
}

// run yields the events after the position of r. It returns nil if the consumer stops.
func (r *reader) run(ctx context.Context, so SinceOptions, yield func(Entry, error) bool) error {
	for n := 0; ; n++ {
		r.search = n%listStreams == 0
		if r.search {
			if err := r.list(ctx); err != nil {
				return err
			}
		}
		wake := r.o.ownWake()
		for _, id := range slices.Sorted(maps.Keys(r.at.at)) {
			if more, err := r.read(ctx, id, yield); err != nil || !more {
				return err
			}
		}
		if !so.Follow {
			return nil
		}
		t := time.NewTimer(so.Poll)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// ownWake returns a channel that is closed when this process has stored an event.
func (o *Outbox) ownWake() <-chan struct{} {
	for _, d := range o.sinks[:1] {
		for _, l := range o.lanesOf(d.Name) {
			if len(l.s.lanes) > 0 {
				l.s.mu.Lock()
				defer l.s.mu.Unlock()
				if !l.s.closed {
					return l.s.wake
				}
			}
		}
	}
	return nil
}

// End returns the cursor after all stored events.
//
// Errors: errors of the storage.
func (o *Outbox) End(ctx context.Context) (string, error) {
	r, err := o.newReader("")
	if err != nil {
		return "", err
	}
	if err := r.list(ctx); err != nil {
		return "", err
	}
	for id := range r.at.at {
		last := int64(-1)
		for info, err := range o.driver.List(ctx, streamPrefix+id+"/", &driver.ListOptions{KeysOnly: true}) {
			if err != nil {
				return "", err
			}
			if seq, ok := parseBatchKey(info.Key); ok {
				last = seq
			}
		}
		if last < 0 {
			continue
		}
		b, err := o.readBatch(ctx, id, last)
		switch {
		case err == nil && b.Closed:
			r.at.at[id] = position{seq: last, number: b.First}
			r.closed[id] = true
		case err == nil:
			r.at.at[id] = position{seq: last + 1, number: b.end()}
		case errors.Is(err, errCorrupt) || errors.Is(err, driver.ErrNotExist):
			r.at.at[id] = position{seq: last + 1}
		default:
			return "", err
		}
	}
	r.forget(time.Now())
	return r.at.String(), nil
}

// list finds the streams by their cursors: each stream has one until it is removed.
func (r *reader) list(ctx context.Context) error {
	there := map[string]bool{}
	for info, err := range r.o.driver.List(ctx, cursorPrefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return err
		}
		if id, _, ok := parseCursorKey(info.Key); ok {
			there[id] = true
		}
	}
	for id := range there {
		if _, known := r.at.at[id]; !known && id > r.at.floor {
			r.at.at[id] = position{}
		}
	}
	for id := range r.at.at {
		r.closed[id] = r.closed[id] || !there[id] // it is removed
	}
	r.forget(time.Now())
	return nil
}

// forget raises the floor over streams that are read to their end, so that the cursor stays short.
func (r *reader) forget(now time.Time) {
	old := newStreamID(now.Add(-skew))[:12]
	for _, id := range slices.Sorted(maps.Keys(r.at.at)) {
		switch {
		case id[:12] >= old && len(r.at.at) <= maxPositions:
			return
		case r.closed[id]:
			r.at.floor = max(r.at.floor, id) // streams that are not read to their end stay in r.at
			delete(r.at.at, id)
		}
	}
}

// read yields what is new in one stream. more is false if the consumer has stopped.
func (r *reader) read(ctx context.Context, id string, yield func(Entry, error) bool) (more bool, err error) {
	for !r.closed[id] {
		at := r.at.at[id]
		b, err := r.o.readBatch(ctx, id, at.seq)
		if errors.Is(err, driver.ErrNotExist) || errors.Is(err, errCorrupt) {
			if !r.search && errors.Is(err, driver.ErrNotExist) {
				return true, nil
			}
			to, gap, ferr := r.find(ctx, id, at, err)
			if ferr != nil || to == at {
				return true, ferr
			}
			r.at.at[id] = to
			if gap != nil && !yield(Entry{missing(gap), r.at.String()}, nil) {
				return false, nil
			}
			continue
		}
		if err != nil {
			return true, err
		}
		if b.Closed {
			r.closed[id] = true
			r.forget(time.Now())
			return true, nil
		}
		for i := at.index; i < len(b.events); i++ {
			r.at.at[id] = position{at.seq, i + 1, b.First + int64(i) + 1}
			if i+1 == len(b.events) {
				r.at.at[id] = position{at.seq + 1, 0, b.end()}
			}
			if !yield(Entry{b.events[i], r.at.String()}, nil) {
				return false, nil
			}
		}
		r.at.at[id] = position{at.seq + 1, 0, b.end()}
	}
	return true, nil
}

// find returns the next batch after one that is removed or corrupt, and what is missing. The
// position is unchanged if there is no later batch.
func (r *reader) find(ctx context.Context, id string, at position, cause error) (position, *notification.Gap, error) {
	after := ""
	if errors.Is(cause, errCorrupt) || at.seq > 0 {
		after = batchKey(id, at.seq)
	}
	for info, err := range r.o.driver.List(ctx, streamPrefix+id+"/",
		&driver.ListOptions{After: after, KeysOnly: true, PageHint: 1}) {
		if err != nil {
			return at, nil, err
		}
		seq, ok := parseBatchKey(info.Key)
		if !ok {
			continue
		}
		b, err := r.o.readBatch(ctx, id, seq)
		if errors.Is(err, errCorrupt) || errors.Is(err, driver.ErrNotExist) {
			continue
		}
		if err != nil {
			return at, nil, err
		}
		if errors.Is(cause, driver.ErrNotExist) {
			// The process may have written both since the batch was looked for. It writes them one
			// after the other, so a batch that is absent now was removed.
			if _, err := r.o.driver.Stat(ctx, batchKey(id, at.seq)); !errors.Is(err, driver.ErrNotExist) {
				return at, nil, err
			}
		}
		if r.whole && at == (position{}) && errors.Is(cause, driver.ErrNotExist) {
			if b.Time.After(r.trimmed) {
				r.trimmed = b.Time
			}
			return position{seq, 0, b.First}, nil, nil // the reader wants what is kept
		}
		gap := &notification.Gap{Stream: id, Events: b.First - at.number, First: b.Time, Last: b.Time, Reason: "age"}
		if errors.Is(cause, errCorrupt) {
			gap.Reason = "corrupt"
			r.o.opts.Logger.Error("outbox: skipped an object that cannot be read", "key", batchKey(id, at.seq))
		}
		return position{seq, 0, b.First}, gap, nil
	}
	return at, nil, nil
}
