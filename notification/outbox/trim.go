package outbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// limit returns where the stream of this process must begin, and the limit that demands it.
func (o *Outbox) limit(s *stream, now time.Time) (to head, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heads {
		switch {
		case s.events-h.first > o.opts.MaxEvents:
			reason = "count"
		case s.bytes-h.bytes > o.opts.MaxBytes:
			reason = "bytes"
		case now.Sub(h.time) > o.opts.Keep:
			reason = "age"
		default:
			return h, reason
		}
	}
	if reason == "" {
		return head{}, ""
	}
	return head{s.next, s.events, s.bytes, now}, reason
}

// blocked reports whether a sink that is not disabled is so far behind that its stream has reached a
// limit.
func (o *Outbox) blocked() bool {
	for _, d := range o.sinks {
		if !o.isDisabled(d.Name) && slices.ContainsFunc(o.lanesOf(d.Name), (*lane).full) {
			return true
		}
	}
	return false
}

// full reports whether the events that wait for the sink have reached a limit.
func (l *lane) full() bool {
	l.mu.Lock()
	cur := l.cur
	l.mu.Unlock() // save locks the stream while it holds the lock of the lane
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	bytes := int64(0)
	for _, h := range l.s.heads {
		if h.seq >= cur.Seq {
			bytes = l.s.bytes - h.bytes
			break
		}
	}
	return l.s.events-cur.Number >= l.o.opts.MaxEvents || bytes >= l.o.opts.MaxBytes
}

// trimOwn removes the oldest batches of a stream of this process if it exceeds a limit. Sinks that
// did not get them are told: the gap is stored before the batches are removed.
func (o *Outbox) trimOwn(ctx context.Context, s *stream) {
	if len(s.lanes) == 0 || !s.trimming.TryLock() {
		return
	}
	defer s.trimming.Unlock()
	to, reason := o.limit(s, time.Now())
	if reason == "" || to.seq <= s.trimmed {
		return
	}
	if err := o.trim(ctx, s, to, reason); err != nil && ctx.Err() == nil {
		o.opts.Logger.Warn("outbox: cannot remove old events", "error", err)
	}
}

func (o *Outbox) trim(ctx context.Context, s *stream, to head, reason string) error {
	keys := make([]string, 0, len(s.lanes))
	for _, l := range s.lanes {
		l.mu.Lock()
		cur, lost, oldest := l.cur, l.lost, l.oldest
		l.mu.Unlock()
		if lost {
			return nil // the process that delivers the stream removes it
		}
		if cur.Seq < to.seq {
			if o.opts.Block && reason != "age" && !o.isDisabled(l.dest.Name) {
				return nil // Notify accepted several at once: they are over the limit, and not lost
			}
			l.drop(cur, to, oldest, reason)
		}
		if err := l.save(ctx, false); err != nil {
			return err
		}
		l.mu.Lock()
		stored := l.saved.Seq >= to.seq
		l.mu.Unlock()
		if !stored {
			return nil // at the next attempt
		}
		keys = append(keys, l.key)
	}
	if err := o.driver.Sync(ctx, keys...); err != nil {
		return err
	}
	if err := o.removeBatches(ctx, s.id, to.seq); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trimmed = to.seq
	for len(s.heads) > 0 && s.heads[0].seq < to.seq {
		s.heads = s.heads[1:]
	}
	return nil
}

// drop moves the cursor over events that were not delivered.
func (l *lane) drop(cur cursor, to head, oldest time.Time, reason string) {
	if oldest.IsZero() {
		oldest = to.time
	}
	gap := &notification.Gap{Stream: l.s.id, Events: to.first - cur.Number, First: oldest.Round(0),
		Last: to.time.Round(0), Reason: reason}
	l.skip(cur, cursor{Seq: to.seq, Number: to.first}, gap)
	l.o.dropped(l.dest.Name, gap.Events)
	l.o.opts.Logger.Error("outbox: dropped events that were not delivered", "sink", l.dest.Name,
		"events", gap.Events, "reason", reason)
}

// removeBatches removes the batches of a stream before seq.
func (o *Outbox) removeBatches(ctx context.Context, id string, seq int64) error {
	for info, err := range o.driver.List(ctx, streamPrefix+id+"/", &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return err
		}
		n, ok := parseBatchKey(info.Key)
		if ok && n >= seq {
			return nil
		}
		if err := o.driver.Delete(ctx, info.Key, ""); err != nil && !errors.Is(err, driver.ErrNotExist) {
			return err
		}
	}
	return nil
}

// maintainAll removes what is old, now and then, until ctx ends.
func (o *Outbox) maintainAll(ctx context.Context) {
	for {
		if err := o.maintain(ctx); err != nil && ctx.Err() == nil {
			o.opts.Logger.Warn("outbox: cannot remove old events", "error", err)
		}
		if pause.Sleep(ctx, min(time.Hour, o.opts.Keep/4)) != nil {
			return
		}
	}
}

// maintain removes what is old: streams whose events every sink has, and dead letters.
func (o *Outbox) maintain(ctx context.Context) error {
	old := time.Now().Add(-o.opts.Keep)
	for _, d := range o.sinks {
		for _, l := range o.lanesOf(d.Name) {
			if len(l.s.lanes) == 0 {
				if err := o.expire(ctx, l, old); err != nil {
					return err
				}
			}
		}
		if err := o.expireLetters(ctx, d.Name); err != nil {
			return err
		}
	}
	streams := map[string][]driver.Info{}
	young := map[string]bool{}
	for info, err := range o.driver.List(ctx, cursorPrefix, nil) {
		if err != nil {
			return err
		}
		if id, _, ok := parseCursorKey(info.Key); ok {
			streams[id] = append(streams[id], info)
			young[id] = young[id] || info.ModTime.After(old) || o.holds(info.Key)
		}
	}
	var failed error
	for id, cursors := range streams {
		if !young[id] {
			failed = errors.Join(failed, o.removeStream(ctx, id, cursors))
		}
	}
	return failed
}

// expire moves a lane of a dead process over events that are too old.
func (o *Outbox) expire(ctx context.Context, l *lane, old time.Time) error {
	l.mu.Lock()
	cur := l.cur
	l.mu.Unlock()
	l.s.mu.Lock()
	to := head{l.s.next, l.s.events, 0, old}
	l.s.mu.Unlock()
	first := time.Time{}
	for seq := cur.Seq; seq < to.seq; seq++ {
		b, err := o.readBatch(ctx, l.s.id, seq)
		if errors.Is(err, errCorrupt) || errors.Is(err, driver.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if first.IsZero() {
			first = b.Time
		}
		if b.Time.After(old) {
			to.seq, to.first = seq, b.First
		}
	}
	if to.first > cur.Number && to.seq > cur.Seq {
		l.drop(cur, to, first, "age")
	}
	return nil
}

// removeStream removes a stream whose cursors have not changed for Options.Keep: its batches, then
// its cursors, and its marker last, so that a paused process finds the marker.
func (o *Outbox) removeStream(ctx context.Context, id string, cursors []driver.Info) error {
	s := newStream(id)
	for _, info := range cursors {
		b, _, err := o.read(ctx, info.Key)
		if errors.Is(err, driver.ErrNotExist) {
			continue
		}
		if err != nil && !errors.Is(err, errCorrupt) {
			return err
		}
		c, err := decodeCursor(b)
		_, sink, _ := parseCursorKey(info.Key)
		if err != nil || !c.Done && o.destination(sink) != nil {
			return nil // it is delivered first
		}
		// A sink that no process has any more keeps the stream no longer. Its process may live.
		if err := o.closeStream(ctx, s, c); err != nil {
			return err
		}
		if !c.Done && sink != nobody {
			o.opts.Logger.Error("outbox: dropped the events of a sink that no process has", "cursor", info.Key)
		}
	}
	s.mu.Lock()
	marker, closed := s.next, s.closed
	s.mu.Unlock()
	if !closed {
		return nil
	}
	if err := o.removeBatches(ctx, id, marker); err != nil {
		return err
	}
	for _, info := range cursors {
		if err := o.driver.Delete(ctx, info.Key, info.Version); err != nil && !errors.Is(err, driver.ErrNotExist) {
			return err
		}
	}
	if err := o.driver.Delete(ctx, batchKey(id, marker), ""); err != nil && !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	return nil
}

// expireLetters removes old dead letters.
func (o *Outbox) expireLetters(ctx context.Context, sink string) error {
	old := time.Now().Add(-o.opts.KeepDeadLetters)
	for info, err := range o.driver.List(ctx, letterPrefix+sink+"/", nil) {
		if err != nil {
			return err
		}
		if info.ModTime.Before(old) {
			if err := o.driver.Delete(ctx, info.Key, info.Version); err != nil && !errors.Is(err, driver.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
