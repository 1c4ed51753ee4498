package endpoints

import (
	"context"
	"errors"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification"
)

const (
	minPause = time.Second
	maxPause = 15 * time.Minute
	maxAfter = time.Hour
	// slow is how long an attempt takes at least that makes an endpoint count as failing.
	slow = 5 * time.Second
	// endTimeout is how long Run records at its end what it has done.
	endTimeout = 10 * time.Second
	// giveUpPause is the pause after an event was given up because its receiver is down: the next one has often waited
	// as long, so it gets one attempt.
	giveUpPause = 100 * time.Millisecond
)

// deliver makes one attempt to deliver an item, and waits after a failure. The item stays the first one of its source
// until it was delivered, was given up, or its endpoint is gone.
func (e *Endpoints) deliver(ctx context.Context, w *worker, s *source, i *item) {
	usable, lost := e.usable(s.prefix)
	if lost {
		return
	}
	if !usable { // the heartbeat cannot be written
		_ = pause.Sleep(ctx, min(time.Second, e.opts.Lease/6))
		return
	}
	t, err := e.lookUp(ctx, w.id)
	switch {
	case errors.Is(err, ErrUnknown):
		e.discard(ctx, w, s, i)
		return
	case err != nil:
		if ctx.Err() == nil {
			e.opts.Logger.Warn("endpoints: cannot read an endpoint", "endpoint", w.id, "error", err)
		}
		w.unread++
		_ = pause.Sleep(ctx, pause.Backoff(w.unread, time.Second, time.Minute))
		return
	}
	w.unread = 0
	d := e.begun(ctx, w, i)
	if t.Disabled != nil {
		d.Time, d.Duration, d.Status, d.Response = time.Now().Round(0).UTC(), 0, 0, ""
		d.Error = "the webhook is disabled"
		e.insist(ctx, "store a dead delivery", func() error { return e.bury(ctx, w.id, d) })
		e.finish(ctx, w, s, i)
		return
	}
	o := e.attempt(ctx, w, t, i.Event)
	if ctx.Err() != nil {
		if o.err != nil {
			return
		}
		end, done := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer done()
		ctx = end // it was delivered, and is recorded although Run ends
	}
	e.judge(ctx, w, s, i, t, d, o)
}

// lookUp returns an endpoint as it was at most Options.Refresh ago. It calls Options.Owner here, and not when an event
// is copied. So a failure of the directory holds up this endpoint only.
//
// Errors: ErrUnknown if it does not exist now, or if the namespace has another owner; those of the Driver and of
// Options.Owner.
func (e *Endpoints) lookUp(ctx context.Context, id ID) (*target, error) {
	all, err := e.cache.get(ctx)
	if err != nil {
		return nil, err
	}
	if t := all.byID[id]; t != nil {
		ok, err := e.owned(ctx, &t.record)
		if err == nil && !ok {
			err = ErrUnknown
		}
		return t, err
	}
	// The process that has copied the event may know an endpoint that this one does not know yet.
	if _, _, err := e.load(ctx, id); err != nil {
		if errors.Is(err, ErrInvalid) {
			err = ErrUnknown
		}
		return nil, err
	}
	e.cache.forget()
	if all, err = e.cache.get(ctx); err == nil && all.byID[id] == nil {
		err = errDamaged
	}
	return all.find(id), err
}

// begun returns the delivery of an item, with the attempts that another process has made.
func (e *Endpoints) begun(ctx context.Context, w *worker, i *item) *Delivery {
	if i.found && w.failures == 0 {
		if d, err := e.find(ctx, w.id, i.id); err == nil && d.State == Retrying {
			w.failures = d.Attempts
			return d
		}
	}
	return &Delivery{ID: i.id, Event: i.Event, Attempts: w.failures}
}

// attempt makes one attempt, in its turn.
func (e *Endpoints) attempt(ctx context.Context, w *worker, t *target, ev notification.Event) outcome {
	turns := e.working
	if w.failing {
		turns = e.failing
	}
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
	h, err := e.hook(t)
	if err != nil {
		return outcome{started: time.Now().Round(0).UTC(), err: err}
	}
	o := h.send(ctx, ev)
	w.failing = o.err != nil || o.took >= slow
	return o
}

// judge records an attempt, and decides what follows.
func (e *Endpoints) judge(ctx context.Context, w *worker, s *source, i *item, t *target, d *Delivery, o outcome) {
	if o.none() {
		e.finish(ctx, w, s, i)
		return
	}
	d.take(o)
	defer func() { e.opts.Observe(Observation{Endpoint: w.id, Delivery: *d}) }()
	var wait time.Duration
	switch {
	case o.err == nil:
	case errors.Is(o.err, notification.ErrGone):
		d.State = Dead
		e.insist(ctx, "disable an endpoint", func() error { return e.disable(ctx, t) })
	default:
		if d.State, wait = w.failed(&e.opts, i, o.err); d.State == Retrying {
			d.Next = time.Now().Add(wait).Round(0).UTC()
		}
	}
	if d.State == Dead {
		e.insist(ctx, "store a dead delivery", func() error { return e.bury(ctx, w.id, d) })
	} else if err := e.record(ctx, w.id, d); err != nil && ctx.Err() == nil { // it is for people only
		e.opts.Logger.Warn("endpoints: cannot record a delivery", "endpoint", w.id, "error", err)
	}
	if d.State != Retrying {
		e.finish(ctx, w, s, i)
		_ = pause.Sleep(ctx, wait)
		return
	}
	e.rest(ctx, w, t, wait)
}

// failed counts a failed attempt. It returns the state of the delivery, and how long to wait.
func (w *worker) failed(o *Options, i *item, err error) (State, time.Duration) {
	w.failures++
	refused := errors.Is(err, notification.ErrRefused)
	switch {
	case !refused:
		w.refused = time.Time{}
	case w.refused.IsZero():
		w.refused = time.Now()
	}
	switch {
	case refused && time.Since(w.refused) >= o.GiveUpRefused:
		return Dead, 0
	case time.Since(i.Time) >= o.GiveUp:
		return Dead, giveUpPause
	}
	d := pause.Backoff(w.failures, minPause, maxPause)
	if refused { // the last attempt comes in time, because the events behind this one wait for it
		d = min(d, max(o.GiveUpRefused-time.Since(w.refused), minPause))
	}
	var retry *notification.RetryError
	if errors.As(err, &retry) {
		d = max(d, min(retry.After, maxAfter))
	}
	return Retrying, d
}

// rest waits after a failed attempt. It ends when the endpoint changes: its user has perhaps corrected it.
func (e *Endpoints) rest(ctx context.Context, w *worker, t *target, d time.Duration) {
	until := time.Now().Add(d)
	for {
		left := time.Until(until)
		if left <= 0 || pause.Sleep(ctx, min(left, e.opts.Refresh)) != nil {
			return
		}
		if all, err := e.cache.get(ctx); err == nil {
			if now := all.byID[w.id]; now == nil || now.version != t.version {
				return
			}
		}
	}
}

// disable stores that the receiver of an endpoint wants no more events, unless the endpoint has changed meanwhile.
func (e *Endpoints) disable(ctx context.Context, t *target) error {
	_, err := e.update(ctx, t.ID, func(r *record, now time.Time) error {
		if r.URL != t.URL || r.Disabled != nil {
			return errUnchanged
		}
		r.Disabled = &Disabled{Cause: Gone, Time: now}
		return nil
	})
	switch {
	case errors.Is(err, errUnchanged) || errors.Is(err, ErrUnknown):
		return nil
	case err == nil:
		e.opts.Logger.Warn("endpoints: a receiver wants no more events; its endpoint is disabled", "endpoint", t.ID)
	}
	return err
}

// errUnchanged ends an update that changes nothing.
var errUnchanged = errors.New("endpoints: unchanged")

// discard removes what waits for an endpoint that is gone.
func (e *Endpoints) discard(ctx context.Context, w *worker, s *source, i *item) {
	e.insist(ctx, "remove the deliveries of an endpoint", func() error {
		if err := removeAll(ctx, e.driver, waitingPrefix+s.prefix.id+"/"+string(w.id)+"/"); err != nil {
			return err
		}
		return e.clear(ctx, w.id)
	})
	e.mu.Lock()
	s.items, s.waiting = nil, 0
	e.mu.Unlock()
	e.finish(ctx, w, s, i)
}
