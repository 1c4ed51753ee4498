package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// maxBatchEvents and maxBatchBytes bound what is written at once.
	maxBatchEvents = 256
	maxBatchBytes  = 256 << 10
	// maxQueueEvents and maxQueueBytes bound what waits in memory while the storage fails.
	maxQueueEvents = 10_000
	maxQueueBytes  = 32 << 20
)

var (
	errFenced = errors.New("outbox: another process has closed the stream")
	errFull   = errors.New("outbox: too many events wait for the storage")
	errBlock  = errors.New("outbox: a sink is too far behind")
)

// writer writes events to the stream of this process. One write is on its way at a time; events
// that arrive meanwhile share the next one. The callers of Notify take turns to write, so there is
// no goroutine.
type writer struct {
	mu      sync.Mutex
	queue   []item
	bytes   int   // of queue
	added   int64 // number of events ever put into the queue
	written int64 // number of events ever stored
	busy    bool  // a goroutine writes
	done    chan struct{}

	// Only the goroutine that writes uses the following.
	stream *stream
	batch  *batch // what is written next: repeated unchanged until the answer is clear
	body   []byte
}

// item is an event that waits to be stored.
type item struct {
	event notification.Event
	line  []byte
}

// Notify stores events. It returns once they are durable, with one small write that concurrent
// calls share.
//
// Errors: an error that wraps [notification.ErrNotRecorded] if the events could not be stored
// within Options.WriteTimeout. They stay in memory and are stored later if possible, so an event
// may be announced although Notify failed.
func (o *Outbox) Notify(ctx context.Context, events []notification.Event) error {
	items, size, err := o.items(events)
	if err != nil || len(items) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.opts.WriteTimeout)
	defer cancel()
	w := &o.writer
	w.mu.Lock()
	if o.opts.Block && o.blocked() {
		w.mu.Unlock()
		return notRecorded(errBlock)
	}
	// The events of one operation may exceed the limits by themselves.
	if len(w.queue) > 0 && (len(w.queue)+len(items) > maxQueueEvents || w.bytes+size > maxQueueBytes) {
		w.mu.Unlock()
		return notRecorded(errFull)
	}
	w.queue, w.bytes, w.added = append(w.queue, items...), w.bytes+size, w.added+int64(len(items))
	ticket := w.added
	w.mu.Unlock()
	return o.flush(ctx, ticket)
}

// items encodes the events that are stored.
func (o *Outbox) items(events []notification.Event) (items []item, size int, err error) {
	limit := int64(maxEvent)
	if m := o.driver.MaxObjectSize(); m > 0 {
		limit = min(limit, m-4<<10)
	}
	for _, e := range events {
		if e.Action == notification.Pull && !o.opts.Pulls {
			continue
		}
		line, err := json.Marshal(e)
		if err != nil {
			return nil, 0, notRecorded(err)
		}
		if int64(len(line)) > limit {
			return nil, 0, notRecorded(errors.New("outbox: the event is too large"))
		}
		items, size = append(items, item{e, append(line, '\n')}), size+len(line)+1
	}
	return items, size, nil
}

func notRecorded(err error) error { return fmt.Errorf("%w: %w", notification.ErrNotRecorded, err) }

// flush returns when the events up to ticket are stored, or with an error when ctx ends.
func (o *Outbox) flush(ctx context.Context, ticket int64) error {
	w := &o.writer
	var last error
	for n := 0; ; {
		w.mu.Lock()
		if w.written >= ticket {
			w.mu.Unlock()
			return nil
		}
		if w.busy {
			done := w.done
			w.mu.Unlock()
			select {
			case <-done:
				continue
			case <-ctx.Done():
				return notRecorded(errors.Join(last, ctx.Err()))
			}
		}
		w.busy, w.done = true, make(chan struct{})
		w.mu.Unlock()

		err := o.writeBatch(ctx)

		w.mu.Lock()
		w.busy = false
		close(w.done)
		w.mu.Unlock()
		if err == nil || errors.Is(err, errFenced) && ctx.Err() == nil {
			n = 0
			continue
		}
		last = err
		if pause.Sleep(ctx, pause.Backoff(n+1, 20*time.Millisecond, time.Second)) != nil {
			return notRecorded(err)
		}
		n++
	}
}

// writeBatch stores the first events of the queue. Only one goroutine calls it at a time.
func (o *Outbox) writeBatch(ctx context.Context) (err error) {
	w := &o.writer
	if w.stream == nil {
		if w.stream, err = o.createStream(ctx); err != nil {
			return err
		}
	}
	if w.batch == nil && !w.seal(o.opts.Instance) {
		return nil
	}
	s, b := w.stream, w.batch
	_, _, err = o.write(ctx, batchKey(s.id, b.seq), "", w.body, driver.Durable)
	if err != nil && !errors.Is(err, errConflict) {
		return fmt.Errorf("writing events: %w", err)
	}
	now := time.Now().Round(0)
	s.mu.Lock()
	old := now.Sub(s.proof) > o.opts.Keep/2
	if !old && err == nil {
		s.proof = now
	}
	s.mu.Unlock()
	if err != nil || old {
		// Another process has closed the stream. Or this process was suspended for so long that
		// the marker may have been removed since. The events go to a new stream.
		w.stream, w.batch, w.body = nil, nil, nil
		s.close(b.seq, b.First)
		o.opts.Logger.Warn("outbox: another process has taken over a stream of this one", "stream", s.id)
		return errFenced
	}
	w.batch, w.body = nil, nil
	w.mu.Lock()
	for _, i := range w.queue[:b.Count] {
		w.bytes -= len(i.line)
	}
	w.queue, w.written = w.queue[b.Count:], w.written+int64(b.Count)
	w.mu.Unlock()
	s.add(b)
	return nil
}

// seal makes a batch of the first events of the queue. It reports whether there are any.
func (w *writer) seal(instance string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	var content bytes.Buffer
	s := w.stream
	b := &batch{seq: s.next, batchHeader: batchHeader{
		Nonce: newNonce(), First: s.events, Bytes: s.bytes, Time: time.Now(), By: instance,
	}}
	for _, i := range w.queue {
		if b.Count == maxBatchEvents || b.Count > 0 && content.Len()+len(i.line) > maxBatchBytes {
			break
		}
		content.Write(i.line)
		b.events = append(b.events, i.event)
		b.Count++
	}
	b.Sum = crc32.Checksum(content.Bytes(), castagnoli)
	body, err := encode(&b.batchHeader, content.Bytes())
	if err != nil || b.Count == 0 {
		return false
	}
	b.size = int64(len(body))
	w.batch, w.body = b, body
	return true
}

// closeOwn stores what waits and closes the stream of this process.
func (o *Outbox) closeOwn(ctx context.Context) error {
	w := &o.writer
	w.mu.Lock()
	ticket := w.added
	w.mu.Unlock()
	err := o.flush(ctx, ticket)
	for {
		w.mu.Lock()
		if !w.busy {
			w.busy, w.done = true, make(chan struct{})
			w.mu.Unlock()
			break
		}
		done := w.done
		w.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() {
		w.mu.Lock()
		w.busy = false
		close(w.done)
		w.mu.Unlock()
	}()
	if w.stream == nil || w.batch != nil {
		return err
	}
	s := w.stream
	marker, eerr := encode(&batchHeader{Nonce: newNonce(), First: s.events, Bytes: s.bytes, Time: time.Now(),
		Closed: true, By: o.opts.Instance}, nil)
	if eerr != nil {
		return errors.Join(err, eerr)
	}
	// Whatever the answer is, this process writes no more to this stream.
	w.stream = nil
	_, _, werr := o.write(ctx, batchKey(s.id, s.next), "", marker, driver.Durable)
	if werr == nil {
		s.close(s.next, s.events)
	}
	return errors.Join(err, werr)
}
