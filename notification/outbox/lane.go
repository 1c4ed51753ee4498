package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// lane delivers one stream to one sink, from the cursor. It holds the cursor while it does.
type lane struct {
	o    *Outbox
	s    *stream
	dest Destination
	key  string

	saving sync.Mutex // one write of the cursor at a time

	mu      sync.Mutex
	cur     cursor    // where the lane is
	oldest  time.Time // time of the next event, if the lane has seen it
	single  bool      // the last call was refused: send one event at a time
	saved   cursor    // what is stored
	version string
	tried   []string  // nonces of writes whose answer was unclear
	savedAt time.Time // when saved was written, by the monotonic clock
	lost    bool      // another process has the cursor
	stop    context.CancelFunc
	active  bool // run is running, or is about to

	due chan struct{} // saveAfter events were delivered since the cursor was written

	// Only run uses the following.
	ahead map[int64]*batch // batches that were read ahead
}

const (
	// saveEvery and saveAfter are when a cursor is written: this long after a delivery, or after this
	// many events. After a crash, these events come twice.
	saveEvery = time.Second
	saveAfter = 20
)

// run delivers until ctx ends, the stream ends, or another process takes the cursor.
func (l *lane) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	l.stop, l.due = cancel, make(chan struct{}, 1)
	l.mu.Unlock()
	var keeper sync.WaitGroup
	keeper.Go(func() { l.keep(ctx) })
	keeper.Go(func() { l.trim(ctx) })
	select { // a sink that is disabled must not be called, and older streams come first
	case <-l.o.scanned:
	case <-ctx.Done():
	}
	for ctx.Err() == nil && !l.done() {
		if !l.ready() || l.o.isBehind(l) {
			_ = pause.Sleep(ctx, min(time.Second, l.o.opts.Lease/6))
			continue
		}
		if err := l.step(ctx); err != nil {
			_ = pause.Sleep(ctx, l.pause(err))
		}
	}
	cancel()
	keeper.Wait()
	end, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	if err := l.save(end, true); err != nil && !errors.Is(err, errConflict) {
		l.o.opts.Logger.Warn("outbox: cannot write a cursor", "sink", l.dest.Name, "error", err)
	}
}

func (l *lane) done() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cur.Done || l.lost
}

// ready reports whether the lane may call the sink: the sink is not disabled, and the lease is fresh.
func (l *lane) ready() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.o.isDisabled(l.dest.Name) && time.Since(l.savedAt) < l.o.opts.Lease
}

// keep writes the cursor: soon after a delivery, and as a sign of life.
func (l *lane) keep(ctx context.Context) {
	tick := time.NewTicker(min(saveEvery, l.o.opts.Lease/6))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.due:
		case <-tick.C:
		}
		l.mu.Lock()
		due := l.cur != l.saved || time.Since(l.savedAt) >= l.o.opts.Lease/3
		l.mu.Unlock()
		if due {
			if err := l.save(ctx, false); err != nil && ctx.Err() == nil {
				l.o.opts.Logger.Warn("outbox: cannot write a cursor", "sink", l.dest.Name, "error", err)
			}
		}
	}
}

// trim removes old batches of a stream of this process. Many deletes take long, so keep does not wait
// for them.
func (l *lane) trim(ctx context.Context) {
	for len(l.s.lanes) > 0 && pause.Sleep(ctx, min(saveEvery, l.o.opts.Lease/6)) == nil {
		l.o.trimOwn(ctx, l.s)
	}
}

// save writes the cursor. With release, other processes may take it at once.
//
// Errors: errConflict if another process has taken the cursor; errors of the driver.
func (l *lane) save(ctx context.Context, release bool) error {
	l.saving.Lock()
	defer l.saving.Unlock()
	l.mu.Lock()
	if l.lost || l.cur.Done && l.saved == l.cur {
		l.mu.Unlock()
		return nil
	}
	next := l.cur
	next.Nonce, next.Owner = newNonce(), l.o.owner
	if release {
		next.Owner = ""
	}
	version, start := l.version, time.Now()
	l.tried = append(l.tried, next.Nonce)
	l.mu.Unlock()
	b, err := encode(&next, nil)
	if err != nil {
		return err
	}
	info, there, err := l.o.write(ctx, l.key, version, b, driver.Deferred)
	if errors.Is(err, errConflict) && there == nil && info.Version == "" && l.s.fresh(l.o.opts.Keep/2) {
		// No process removes the cursor of a stream that lives. Without it, nobody finds the stream.
		l.o.opts.Logger.Error("outbox: a cursor has disappeared; it is written again", "key", l.key)
		info, there, err = l.o.write(ctx, l.key, "", b, driver.Deferred)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(err, errConflict) {
		// It is our own write if its answer was lost.
		c, derr := decodeCursor(there)
		if derr != nil || !slices.Contains(l.tried, c.Nonce) {
			l.lost = true
			if l.stop != nil {
				l.stop()
			}
			return err
		}
		l.version = info.Version
		return errors.New("outbox: the answer to the last write of the cursor was lost")
	}
	if err != nil {
		return err
	}
	l.tried = l.tried[:0]
	l.version, l.savedAt = info.Version, start
	same := next
	same.Nonce, same.Owner = l.cur.Nonce, l.cur.Owner
	if same == l.cur { // nothing was delivered meanwhile
		l.cur = next
	}
	l.saved = next
	l.s.mu.Lock()
	l.s.proof = time.Now().Round(0)
	l.s.mu.Unlock()
	return nil
}

// step delivers the next events, or waits for one.
func (l *lane) step(ctx context.Context) error {
	l.mu.Lock()
	cur, single := l.cur, l.single
	l.mu.Unlock()
	if cur.Gap != nil {
		return l.deliver(ctx, cur, nil, []notification.Event{missing(cur.Gap)})
	}
	batches, end, err := l.load(ctx, cur.Seq)
	switch {
	case errors.Is(err, errCorrupt) || errors.Is(err, driver.ErrNotExist):
		return l.skipCorrupt(ctx, cur, err)
	case err != nil:
		return err
	case end:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.cur.Done, l.oldest = true, time.Time{}
		return nil
	case len(batches) == 0:
		return nil
	}
	if cur.Index >= batches[0].Count { // the cursor stands behind the last event of a batch
		l.moved(cur, cursor{Seq: cur.Seq + 1, Number: batches[0].end()}, false)
		return nil
	}
	most := l.o.opts.Batch
	if single {
		most = 1
	}
	events := gather(batches, cur.Index, most)
	return l.deliver(ctx, cur, batches, events)
}

// deliver calls the sink with events that follow cur, from batches that begin at cur, and moves the
// cursor.
func (l *lane) deliver(ctx context.Context, cur cursor, batches []*batch, events []notification.Event) error {
	l.mu.Lock()
	l.oldest = events[0].Time
	l.mu.Unlock()
	start := time.Now()
	err := l.o.call(ctx, l.dest, events)
	n := notification.Delivered(err, len(events))
	l.o.counted(l.dest.Name, n, err)
	l.o.opts.Observe(Observation{Sink: l.dest.Name, Events: len(events), Delivered: n,
		Duration: time.Since(start), Err: err})
	to := cur.advance(n, batches)
	if n > 0 {
		l.moved(cur, to, err == nil)
	}
	switch {
	case err == nil || n == len(events):
		l.o.report(l.dest.Name, nil)
		return nil
	case ctx.Err() != nil:
		return nil
	}
	if errors.Is(err, notification.ErrGone) {
		return l.o.disable(ctx, l.dest.Name, err)
	}
	l.o.report(l.dest.Name, err)
	return l.failed(ctx, to, cur.advance(n+1, batches), events[n:], err)
}

// moved moves the cursor from cur to to after a delivery, unless it was moved meanwhile. all reports
// that the sink has accepted everything.
func (l *lane) moved(cur, to cursor, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cur.Attempts, l.cur.Refused, l.cur.Failing, l.cur.Error = 0, time.Time{}, time.Time{}, ""
	if all {
		l.single = false
	}
	if l.cur.Seq == cur.Seq && l.cur.Index == cur.Index && l.cur.Gap == cur.Gap {
		l.cur.Seq, l.cur.Index, l.cur.Number, l.cur.Gap = to.Seq, to.Index, to.Number, to.Gap
	}
	if l.cur.Number-l.saved.Number >= saveAfter {
		select {
		case l.due <- struct{}{}:
		default:
		}
	}
}

// failed counts a failed call, of which at is the position of the first event and next that of the
// second. It gives up on the first event if the failure has lasted too long.
func (l *lane) failed(ctx context.Context, at, next cursor, events []notification.Event, err error) error {
	now := time.Now().Round(0)
	refused := errors.Is(err, notification.ErrRefused)
	l.mu.Lock()
	l.cur.Attempts++
	l.cur.Error = text(err)
	if l.cur.Failing.IsZero() {
		l.cur.Failing = now
	}
	switch {
	case !refused:
		l.cur.Refused = time.Time{}
	case l.cur.Refused.IsZero() && len(events) == 1:
		l.cur.Refused = now
	}
	isolate := refused && len(events) > 1 && !l.single
	l.single = l.single || refused
	failing, first, attempts := l.cur.Failing, l.cur.Refused, l.cur.Attempts
	l.mu.Unlock()
	since := failing
	if events[0].Time.After(since) {
		since = events[0].Time
	}
	switch {
	case isolate:
		return nil // find out which event the sink refuses
	case !first.IsZero() && now.Sub(first) >= l.o.opts.GiveUpRefused:
	case now.Sub(since) >= l.o.opts.GiveUp:
	default:
		return err
	}
	if at.Gap == nil {
		if derr := l.o.bury(ctx, l.dest.Name, events[0], attempts, err); derr != nil {
			return derr
		}
	}
	l.o.dropped(l.dest.Name, 1)
	l.o.opts.Logger.Error("outbox: gave up on an event", "sink", l.dest.Name, "event", events[0].ID,
		"attempts", attempts, "error", text(err))
	l.moved(at, next, false)
	if refused {
		return nil
	}
	l.mu.Lock()
	l.cur.Failing = failing // the receiver is down: the next event has waited as long
	l.mu.Unlock()
	_ = pause.Sleep(ctx, giveUpPause)
	return nil
}

const (
	minPause = time.Second
	maxPause = 15 * time.Minute
	maxAfter = time.Hour
	// giveUpPause is the pause after an event was given up because its receiver is down. The next one
	// may be given up after one attempt, so the receiver would be called without a pause.
	giveUpPause = 100 * time.Millisecond
)

// pause returns how long to wait after an error.
func (l *lane) pause(err error) time.Duration {
	l.mu.Lock()
	attempts, first := l.cur.Attempts, l.cur.Refused
	l.mu.Unlock()
	d := pause.Backoff(attempts, minPause, maxPause)
	if !first.IsZero() { // the last attempt comes in time, because the events behind this one wait for it
		d = min(d, max(l.o.opts.GiveUpRefused-time.Since(first), minPause))
	}
	var retry *notification.RetryError
	if errors.As(err, &retry) {
		d = max(d, min(retry.After, maxAfter))
	}
	return d
}

// call calls a sink. A panic in it is an error.
func (o *Outbox) call(ctx context.Context, d Destination, events []notification.Event) (err error) {
	if d.Sink == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.opts.SinkTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("outbox: the sink panicked: %v", p)
		}
	}()
	return d.Sink.Notify(ctx, slices.Clone(events))
}
