package outbox

import (
	"context"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/notification"
)

// readAhead is the number of batches that a lane reads from the storage at once. A lane that is
// behind would otherwise wait for one request after the other.
const readAhead = 16

// load returns batches that follow each other and begin at seq. It waits for the first one; the
// others are those in memory. end reports that the stream ends at seq. The result is empty if
// nothing has arrived, and the caller is to look again.
//
// Errors: those of readBatch.
func (l *lane) load(ctx context.Context, seq int64) (batches []*batch, end bool, err error) {
	b, end, closed, wake := l.s.at(seq)
	switch {
	case end && closed:
		return nil, true, nil
	case end:
		l.mu.Lock()
		l.oldest = time.Time{}
		l.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
		}
		return nil, false, nil
	case b == nil:
		if b, err = l.readAhead(ctx, seq); err != nil {
			return nil, false, err
		}
	}
	batches = append(batches, b)
	for n := b.Count; n < l.o.opts.Batch && len(batches) < l.o.opts.Batch; n += b.Count {
		seq++
		if b, _, _, _ = l.s.at(seq); b == nil {
			if b = l.ahead[seq]; b == nil {
				break
			}
		}
		batches = append(batches, b)
	}
	return batches, false, nil
}

// readAhead returns a batch from the storage, and reads those that follow it at the same time. A
// batch that cannot be read is found again when it is the first.
func (l *lane) readAhead(ctx context.Context, seq int64) (*batch, error) {
	if b := l.ahead[seq]; b != nil {
		return b, nil
	}
	l.s.mu.Lock()
	n := min(l.s.next-seq, readAhead)
	l.s.mu.Unlock()
	read, errs := make([]*batch, n), make([]error, n)
	_ = parallel.Each(readAhead, int(n), func(i int) error {
		read[i], errs[i] = l.o.readBatch(ctx, l.s.id, seq+int64(i))
		return nil
	})
	if errs[0] != nil {
		return nil, errs[0]
	}
	l.ahead = map[int64]*batch{}
	for i, b := range read {
		if errs[i] == nil {
			l.ahead[seq+int64(i)] = b
		}
	}
	return read[0], nil
}

// gather returns up to most events of batches, from an index in the first one on.
func gather(batches []*batch, index, most int) []notification.Event {
	var events []notification.Event
	for _, b := range batches {
		rest := b.events[index:]
		events, index = append(events, rest[:min(len(rest), most-len(events))]...), 0
	}
	return events
}

// advance returns the position n events after c. The batches begin at c. The event about a gap is in
// no batch: the position after it is the same without the gap.
func (c cursor) advance(n int, batches []*batch) cursor {
	if c.Gap != nil {
		if n > 0 {
			c.Gap = nil
		}
		return c
	}
	c.Number += int64(n)
	for _, b := range batches {
		if left := b.Count - c.Index; n < left {
			c.Index += n
			break
		} else {
			n -= left
		}
		c.Seq, c.Index = c.Seq+1, 0
	}
	return c
}
