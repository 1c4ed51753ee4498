package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// maxForeign is the maximum number of streams of other processes that are delivered to one sink at a
// time.
const maxForeign = 4

// sighting is a cursor of another process, as this process has seen it.
type sighting struct {
	version string
	since   time.Time // when this version was first seen, by the monotonic clock
	cur     cursor
	known   bool // cur was read
}

// running is the state of Run.
type running struct {
	mu    sync.Mutex
	ctx   context.Context // of the call of Run, or nil
	lanes map[string]*lane
	group sync.WaitGroup
	ended bool // Run has ended: cursors of new streams are nobody's
}

// Run delivers events to the sinks until ctx ends: those of this Outbox, and those that processes
// have left behind which have stopped. It also removes old events. Every replica runs it. At the
// end it closes its stream, so that another process delivers the rest at once. Notify still stores
// events after that.
//
// Errors: the error of ctx when it ends; ErrRunning. Failures of the storage and of sinks are
// logged and tried again.
func (o *Outbox) Run(ctx context.Context) error {
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &o.running
	r.mu.Lock()
	if r.ctx != nil {
		r.mu.Unlock()
		return ErrRunning
	}
	r.ctx, r.ended = work, false
	for _, l := range r.lanes {
		o.startLane(l)
	}
	r.mu.Unlock()

	seen := map[string]*sighting{}
	for first := true; ; first = false {
		o.flushLeft(ctx)
		if err := o.scan(work, seen); err != nil && ctx.Err() == nil {
			o.opts.Logger.Warn("outbox: cannot list the cursors", "error", err)
			clear(seen) // other processes may have been unable to write, too
		}
		if first { // it may take long, and must not delay the next scan
			r.group.Go(func() { o.maintainAll(work) })
		}
		if pause.Sleep(ctx, o.opts.Lease/2) != nil {
			break
		}
	}
	end, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	if err := o.closeOwn(end); err != nil {
		o.opts.Logger.Warn("outbox: cannot close the stream", "error", err)
	}
	cancel()
	r.group.Wait()
	r.mu.Lock()
	r.ctx = nil
	clear(r.lanes)
	r.mu.Unlock()
	return ctx.Err()
}

// flushLeft stores events that Notify could not store.
func (o *Outbox) flushLeft(ctx context.Context) {
	o.writer.mu.Lock()
	ticket, left := o.writer.added, len(o.writer.queue) > 0
	o.writer.mu.Unlock()
	if left {
		ctx, cancel := context.WithTimeout(ctx, o.opts.WriteTimeout)
		defer cancel()
		_ = o.flush(ctx, ticket) // the events stay in memory
	}
}

func (o *Outbox) hasEnded() bool {
	o.running.mu.Lock()
	defer o.running.mu.Unlock()
	return o.running.ended
}

// adopt makes the lanes of a new stream of this process known, and starts them if Run is running.
func (o *Outbox) adopt(s *stream) {
	r := &o.running
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return // other processes deliver it
	}
	for _, l := range s.lanes {
		r.lanes[l.key] = l
		if r.ctx != nil {
			o.startLane(l)
		}
	}
}

// startLane starts a lane. The caller holds running.mu.
func (o *Outbox) startLane(l *lane) {
	if l.active {
		return
	}
	l.active = true
	ctx := o.running.ctx
	o.running.group.Go(func() {
		l.run(ctx)
		o.running.mu.Lock()
		delete(o.running.lanes, l.key)
		o.running.mu.Unlock()
	})
}

// scan looks at the cursors of all streams, and takes over those whose process has stopped.
func (o *Outbox) scan(ctx context.Context, seen map[string]*sighting) error {
	if err := o.readDisabled(ctx); err != nil {
		return err
	}
	present := map[string]bool{}
	var expired []string
	for info, err := range o.driver.List(ctx, cursorPrefix, nil) {
		if err != nil {
			return err
		}
		_, sink, ok := parseCursorKey(info.Key)
		if !ok || o.destination(sink) == nil || o.holds(info.Key) {
			continue
		}
		present[info.Key] = true
		s := seen[info.Key]
		if s == nil || s.version != info.Version {
			s = &sighting{version: info.Version, since: time.Now()}
			seen[info.Key] = s
		}
		if !s.known {
			if err := o.look(ctx, info.Key, s); err != nil { // one object must not hold up the others
				o.opts.Logger.Warn("outbox: cannot read a cursor", "key", info.Key, "error", err)
				continue
			}
		}
		if s.known && !s.cur.Done && (s.cur.Owner == "" || time.Since(s.since) >= o.opts.Lease) {
			expired = append(expired, info.Key)
		}
	}
	for key := range seen {
		if !present[key] {
			delete(seen, key)
		}
	}
	for _, key := range expired {
		if err := o.takeOver(ctx, key, seen[key]); err != nil && ctx.Err() == nil {
			o.opts.Logger.Warn("outbox: cannot take over a stream", "cursor", key, "error", err)
		}
	}
	o.scannedOnce.Do(func() { close(o.scanned) })
	return nil
}

// isBehind reports whether this process delivers an older stream of another process to the same sink.
// That stream comes first, so that the events of a process that has ended are not overtaken by those
// of the process that follows it.
func (o *Outbox) isBehind(l *lane) bool {
	o.running.mu.Lock()
	defer o.running.mu.Unlock()
	for _, other := range o.running.lanes {
		if other.dest.Name == l.dest.Name && len(other.s.lanes) == 0 && other.s.id < l.s.id {
			return true
		}
	}
	return false
}

// look reads the cursor of another process.
func (o *Outbox) look(ctx context.Context, key string, s *sighting) error {
	b, info, err := o.read(ctx, key)
	if errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	if err != nil && !errors.Is(err, errCorrupt) {
		return err
	}
	if info.Version != s.version {
		s.version, s.since = info.Version, time.Now()
	}
	if s.cur, err = decodeCursor(b); err != nil {
		o.opts.Logger.Error("outbox: a cursor cannot be read; the stream is delivered again", "key", key)
		s.cur = cursor{}
	}
	s.known = true
	return nil
}

// takeOver takes the cursor of a process that has stopped, closes its stream, and delivers it.
func (o *Outbox) takeOver(ctx context.Context, key string, seen *sighting) error {
	id, sink, _ := parseCursorKey(key)
	if o.foreign(sink) >= maxForeign {
		return nil // at the next scan, or another process does it
	}
	c := seen.cur
	c.Nonce, c.Owner = newNonce(), o.owner
	b, err := encode(&c, nil)
	if err != nil {
		return err
	}
	start := time.Now()
	info, _, err := o.write(ctx, key, seen.version, b, driver.Deferred)
	if errors.Is(err, errConflict) {
		return nil // its process lives, or another one was faster
	}
	if err != nil {
		return err
	}
	s := newStream(id)
	if err := o.closeStream(ctx, s, c); err != nil {
		return err
	}
	l := &lane{o: o, s: s, dest: *o.destination(sink), key: key, cur: c, saved: c, version: info.Version, savedAt: start}
	o.opts.Logger.Info("outbox: took over a stream", "stream", id, "sink", sink)
	o.running.mu.Lock()
	defer o.running.mu.Unlock()
	o.running.lanes[key] = l
	o.startLane(l)
	return nil
}

func (o *Outbox) destination(sink string) *Destination {
	for i := range o.sinks {
		if o.sinks[i].Name == sink {
			return &o.sinks[i]
		}
	}
	return nil
}

// holds reports whether this process holds a cursor.
func (o *Outbox) holds(key string) bool {
	o.running.mu.Lock()
	defer o.running.mu.Unlock()
	return o.running.lanes[key] != nil
}

// foreign returns the number of lanes of a sink whose streams are those of other processes.
func (o *Outbox) foreign(sink string) (n int) {
	o.running.mu.Lock()
	defer o.running.mu.Unlock()
	for _, l := range o.running.lanes {
		if l.dest.Name == sink && len(l.s.lanes) == 0 {
			n++
		}
	}
	return n
}

// Stats returns what this process has done for a sink. An unknown name has zero Stats.
func (o *Outbox) Stats(name string) notification.Stats {
	o.statsMu.Lock()
	var s notification.Stats
	if p := o.stats[name]; p != nil {
		s = *p
	}
	o.statsMu.Unlock()
	s.Disabled = o.isDisabled(name)
	for _, l := range o.lanesOf(name) {
		l.s.mu.Lock()
		events := l.s.events
		l.s.mu.Unlock()
		l.mu.Lock()
		pending := events - l.cur.Number
		if pending > 0 {
			s.Pending += pending
			if !l.oldest.IsZero() && (s.Oldest.IsZero() || l.oldest.Before(s.Oldest)) {
				s.Oldest = l.oldest
			}
		}
		l.mu.Unlock()
	}
	return s
}

func (o *Outbox) lanesOf(name string) (lanes []*lane) {
	o.running.mu.Lock()
	defer o.running.mu.Unlock()
	for _, l := range o.running.lanes {
		if l.dest.Name == name {
			lanes = append(lanes, l)
		}
	}
	return lanes
}

// counted counts a call of a sink.
func (o *Outbox) counted(name string, delivered int, err error) {
	o.statsMu.Lock()
	defer o.statsMu.Unlock()
	s := o.stats[name]
	s.Delivered += int64(delivered)
	if s.LastError = err; err != nil {
		s.Failed++
	}
}

func (o *Outbox) dropped(name string, n int64) {
	o.statsMu.Lock()
	defer o.statsMu.Unlock()
	o.stats[name].Dropped += n
}
