package quota

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// attempts is how often a write that loses to other replicas is repeated.
	attempts = 40
	// writeTimeout is how long pushes wait for the record of their prefix.
	writeTimeout = 30 * time.Second
)

// account changes the record of one prefix. One write serves all changes that wait for it.
type account struct {
	q      *Quotas
	rule   *rule
	prefix string
	key    string
	counts Amounts // a number other than zero for each resource that is limited

	turn     chan struct{} // holds an element while the record is written, or read to be written
	counting chan struct{} // holds an element while this process counts

	mu      sync.Mutex
	rec     *record   // as this process has last read or written it, or nil; not changed in place
	version string    // of rec
	read    time.Time // when rec was read or written
	queue   []*change // waiting for the next write
	later   []*change // for the next write, whenever that is
	dirty   time.Time // since when a count is due, or zero
	refused bool      // a push was refused since the last look of Run
	rest    time.Time // no count is due before, see restFactor
}

// change is a change of a record.
type change struct {
	id string // of the push that a deferred change is about
	// apply changes the record, or returns an error and leaves it as it is.
	apply func(r *record, now time.Time) error
	rec   *record // the record after the change, once done is true
	err   error
	done  bool
}

// known returns the record as this process knows it, which may be outdated, or nil.
func (a *account) known() (*record, time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rec, a.read
}

// set notes the record that was read or written.
func (a *account) set(r *record, version string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rec, a.version, a.read = r, version, time.Now()
}

// update makes a change, and returns the record after it.
//
// Errors: the error of the change; one of unavailable; the error of ctx, after which the change may
// be made.
func (a *account) update(ctx context.Context, apply func(r *record, now time.Time) error) (*record, error) {
	c := &change{apply: apply}
	a.mu.Lock()
	a.queue = append(a.queue, c)
	a.mu.Unlock()
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		a.queue = slices.DeleteFunc(a.queue, func(other *change) bool { return other == c })
		return nil, ctx.Err()
	}
	a.mu.Lock()
	done := c.done
	a.mu.Unlock()
	if !done {
		a.write(ctx)
	}
	return c.rec, c.err
}

// defers makes a change of what a push holds with the next write. It makes no request.
func (a *account) defers(id string, apply func(r *record, now time.Time) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.later = append(a.later, &change{id: id, apply: apply})
}

// covers reports whether a push holds a claim already, for long enough. Only a change of the push itself,
// and its expiry, can end that. A charge covers a free claim, too.
func (a *account) covers(id string, c claim) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rec == nil || c.free != (Amounts{}) && c.gen != a.rec.gen() {
		return false
	}
	h, held := a.rec.Holds[id]
	if !held || c.charged.minus(h.Charged) != (Amounts{}) || h.expired(time.Now(), a.q.opts.Hold/2) ||
		c.free.minus(h.Charged.minus(c.charged).plus(h.Free)) != (Amounts{}) {
		return false
	}
	return !slices.ContainsFunc(a.later, func(c *change) bool { return c.id == id })
}

// flush makes the deferred changes.
//
// Errors: one of unavailable; the error of ctx.
func (a *account) flush(ctx context.Context) error {
	a.mu.Lock()
	idle := len(a.later) == 0
	a.mu.Unlock()
	if idle {
		return nil
	}
	_, err := a.update(ctx, func(*record, time.Time) error { return errUnchanged })
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// write makes the changes that wait. The caller holds the turn. Every change gets its result; the
// deferred ones are kept after a failure.
func (a *account) write(ctx context.Context) {
	// The changes of others must not fail because the caller goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	a.mu.Lock()
	later, queue := a.later, a.queue
	a.later, a.queue = nil, nil
	a.mu.Unlock()
	batch := append(slices.Clone(later), queue...)
	err := a.try(ctx, batch)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.rec = nil
		a.later = append(later, a.later...)
	}
	for _, c := range batch {
		if c.done = true; err != nil {
			c.err = unavailable(a.prefix, err)
		}
	}
}

// try makes changes with one write, which is repeated until no other replica interferes.
func (a *account) try(ctx context.Context, batch []*change) error {
	var lost string // the nonce of a write whose result is not known
	fresh := false
	var err error
	for n := range attempts {
		if n > 1 {
			if perr := pause.Sleep(ctx, time.Duration(rand.Int64N(int64(time.Millisecond)<<min(n, 7)))); perr != nil {
				return errors.Join(err, perr)
			}
		}
		if !fresh {
			if fresh, err = a.load(ctx, lost != "" || n > 0); err != nil {
				return err
			}
		}
		if a.rec.Nonce == lost && lost != "" {
			return nil // the write has happened
		}
		next, crossed, wrong := a.apply(batch)
		if wrong && !fresh { // a refusal counts only if nothing has been freed elsewhere
			if _, err = a.load(ctx, true); err != nil {
				return err
			}
			next, crossed, _ = a.apply(batch)
		}
		if next == nil {
			return nil
		}
		var version string
		if version, err = writeRecord(ctx, a.q.driver, a.key, a.version, next); err == nil {
			a.set(next, version)
			a.q.report(ctx, a, next, crossed)
			return nil
		}
		if !driver.IsConflict(err) && n >= 2 {
			return err
		}
		lost, fresh = next.Nonce, false
	}
	return err
}

// load makes sure that this process knows the record. With again, it reads a record that it knows,
// too. It reports whether it has read it.
func (a *account) load(ctx context.Context, again bool) (fresh bool, err error) {
	rec, version := a.rec, a.version // only the holder of the turn changes them
	if rec != nil && !again {
		return false, nil
	}
	if rec == nil {
		version = ""
	}
	next, version, err := readRecord(ctx, a.q.driver, a.key, version)
	if errors.Is(err, driver.ErrNotModified) {
		next, version, err = rec, a.version, nil
	}
	if err != nil {
		return false, err
	}
	a.set(next, version)
	return true, nil
}

// apply makes the changes in a copy of the record. next is nil if nothing has changed. crossed are
// the soft limits that the changes exceed. refused reports whether a change has failed.
func (a *account) apply(batch []*change) (next *record, crossed []Resource, refused bool) {
	now := time.Now()
	next = a.rec.clone()
	changed := false
	for _, c := range batch {
		if c.err = c.apply(next, now); c.err != nil {
			refused = refused || !errors.Is(c.err, errUnchanged)
			continue
		}
		c.rec, changed = next, true
	}
	if !changed {
		return nil, nil, refused
	}
	crossed = next.cross(a.rule.Soft)
	next.Nonce = newName()
	return next, crossed, refused
}

// errUnchanged is returned by a change that has nothing to change.
var errUnchanged = errors.New("quota: nothing to change")

// hold makes a push hold a claim. It returns the record, in which the push holds it.
//
// Errors: one that matches ErrExceeded; errUncounted, errMoved; registry.ErrTooManyRequests,
// registry.ErrUnavailable; the error of ctx, after which the push holds nothing for long.
func (a *account) hold(ctx context.Context, id string, c claim) (*record, error) {
	rec, err := a.update(ctx, func(r *record, now time.Time) error { return r.hold(id, c, a.rule.Max, now) })
	var e *excess
	switch {
	case err == nil || errors.Is(err, errUncounted) || errors.Is(err, errMoved) || errors.Is(err, errTooMany):
		return rec, err
	case errors.As(err, &e):
		a.noteRefusal()
		return nil, e.refusal(a.prefix)
	}
	// The write may have happened, or happen yet.
	a.defers(id, func(r *record, _ time.Time) error {
		if _, held := r.Holds[id]; !held {
			return errUnchanged
		}
		delete(r.Holds, id)
		return nil
	})
	return nil, err
}

// end ends what a push holds, with the next write.
func (a *account) end(id string, c claim, stored bool) {
	a.defers(id, func(r *record, _ time.Time) error {
		if _, held := r.Holds[id]; !held && (!stored || c.empty()) {
			return errUnchanged
		}
		r.end(id, c, stored)
		return nil
	})
}

// noteRefusal makes Run count the prefix soon: content may have been collected since the last count.
func (a *account) noteRefusal() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = true
}

// noteDelete makes Run count the prefix soon.
func (a *account) noteDelete() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dirty.IsZero() {
		a.dirty = time.Now()
	}
}
