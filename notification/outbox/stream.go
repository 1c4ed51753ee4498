package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// maxRecent is the maximum number of events of a stream in memory that are stored and may not have
// been delivered yet. Deliveries that are further behind read the storage.
const maxRecent = 2048

// stream is a stream whose events this process writes or delivers.
type stream struct {
	id    string
	lanes []*lane // of a stream that this process writes

	trimming sync.Mutex

	mu      sync.Mutex
	next    int64 // number of the next batch; of a closed stream, that of its marker
	events  int64 // number of events
	bytes   int64
	closed  bool
	recent  []*batch      // the last batches
	kept    int           // number of events in recent
	wake    chan struct{} // closed when something above changes
	heads   []head        // where older events may be removed
	trimmed int64         // batches before it are removed
	proof   time.Time     // when this process last saw that the stream is its own, by the wall clock
}

// head is a batch at which a stream may begin after older ones were removed.
type head struct {
	seq, first, bytes int64
	time              time.Time
}

func newStream(id string) *stream { return &stream{id: id, wake: make(chan struct{})} }

// changed wakes those who wait. The caller holds the lock.
func (s *stream) changed() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// add notes that a batch was written.
func (s *stream) add(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.events, s.bytes = b.seq+1, b.end(), b.Bytes+b.size
	s.recent, s.kept = append(s.recent, b), s.kept+b.Count
	for s.kept > maxRecent && len(s.recent) > 1 {
		s.kept -= s.recent[0].Count
		s.recent[0] = nil
		s.recent = s.recent[1:]
	}
	s.heads = append(s.heads, head{b.seq, b.First, b.Bytes, b.Time})
	if len(s.heads) > 2048 { // keep every second one
		for i := range len(s.heads) / 2 {
			s.heads[i] = s.heads[2*i]
		}
		s.heads = s.heads[:len(s.heads)/2]
	}
	s.changed()
}

// close notes that the marker seq closes the stream after the given number of events.
func (s *stream) close(seq, events int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.next, s.events, s.closed = seq, max(events, s.events), true
	s.changed()
}

// at returns a recent batch, or nil. end reports whether there is no such batch (yet), closed
// whether the stream ends there.
func (s *stream) at(seq int64) (b *batch, end, closed bool, wake <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq >= s.next {
		return nil, true, s.closed, s.wake
	}
	if len(s.recent) > 0 {
		if i := seq - s.recent[0].seq; i >= 0 && i < int64(len(s.recent)) {
			return s.recent[i], false, s.closed, s.wake
		}
	}
	return nil, false, s.closed, s.wake
}

// fresh reports whether this process has seen within d that the stream is its own. Otherwise, others
// may have delivered and removed it.
func (s *stream) fresh(d time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Round(0).Sub(s.proof) <= d
}

// createStream begins a stream of this process: it writes the cursors of all sinks, before the first
// batch. A crash in between leaves a stream without events.
func (o *Outbox) createStream(ctx context.Context) (*stream, error) {
	s := newStream(newStreamID(time.Now()))
	owner := o.owner
	if o.hasEnded() {
		owner = ""
	}
	for _, d := range o.sinks {
		l := &lane{o: o, s: s, dest: d, key: cursorKey(s.id, d.Name)}
		l.cur = cursor{Nonce: newNonce(), Owner: owner}
		b, err := encode(&l.cur, nil)
		if err != nil {
			return nil, err
		}
		info, _, err := o.write(ctx, l.key, "", b, driver.Durable)
		if err != nil {
			return nil, fmt.Errorf("creating a cursor: %w", err)
		}
		l.saved, l.version, l.savedAt = l.cur, info.Version, time.Now()
		s.lanes = append(s.lanes, l)
	}
	s.proof = time.Now().Round(0)
	o.adopt(s)
	return s, nil
}

// closeStream closes a stream of another process, so that nothing can be written to it any more. c is
// a cursor of it that this process has taken over.
func (o *Outbox) closeStream(ctx context.Context, s *stream, c cursor) error {
	for {
		last, found := c.Seq-1, false
		after := ""
		if c.Seq > 0 {
			after = batchKey(s.id, c.Seq-1)
		}
		for info, err := range o.driver.List(ctx, streamPrefix+s.id+"/",
			&driver.ListOptions{After: after, KeysOnly: true}) {
			if err != nil {
				return err
			}
			if seq, ok := parseBatchKey(info.Key); ok {
				last, found = seq, true
			}
		}
		marker := batchHeader{Nonce: newNonce(), First: c.Number, Time: time.Now(), Closed: true, By: o.opts.Instance}
		if found {
			b, err := o.readBatch(ctx, s.id, last)
			switch {
			case err == nil && b.Closed:
				s.close(last, b.First)
				return nil
			case err == nil:
				marker.First, marker.Bytes = b.end(), b.Bytes+b.size
			case !errors.Is(err, errCorrupt):
				return err
			}
		}
		b, err := encode(&marker, nil)
		if err != nil {
			return err
		}
		_, _, err = o.write(ctx, batchKey(s.id, last+1), "", b, driver.Durable)
		if errors.Is(err, errConflict) {
			continue // the process has written another batch
		}
		if err != nil {
			return err
		}
		s.close(last+1, marker.First)
		return nil
	}
}
