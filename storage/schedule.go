package storage

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// leaseRecord is the content of the object object.LeaseKey. It says which process collects. The
// lease only saves work: two collections at the same time are safe.
type leaseRecord struct {
	Nonce string    `json:"nonce"`
	Until time.Time `json:"until"` // when the lease ends, unless its holder prolongs it
	Done  time.Time `json:"done"`  // when the last collection ended
}

// defaultEvery is the default of ScheduleOptions.Every.
const defaultEvery = 24 * time.Hour

// ScheduleOptions are the options of [Store.CollectEvery]. nil means the zero ScheduleOptions.
type ScheduleOptions struct {
	// Every is the time from the end of one collection to the start of the next, whichever
	// processes run them. Default: 24 hours. A negative value is an error.
	Every time.Duration
	// Collect are the options of each collection. With DryRun, old history is removed all the same.
	Collect CollectOptions
	// Done is called after each collection of this process with its report and its error. The
	// report is nil if the collection did not start. CollectEvery waits until Done returns.
	// Default: nil, the results are discarded.
	Done func(*CollectReport, error)
}

// CollectEvery runs [Store.ExpireHistory] and then [Store.Collect] periodically, until ctx ends.
// opts may be nil. Start it in a goroutine on every replica: processes that share a storage take
// turns under a lease, and only its holder collects. When the holder dies, another process takes
// over within a minute or so.
//
// A collection that fails is reported to ScheduleOptions.Done, and CollectEvery tries again later.
// It also keeps a small reserve of space in the storage, so that collections and deletes can still
// write when the storage is full.
//
// Errors: the error of ctx when it ends; at once, ErrSingleProcess, or an error for an invalid
// option.
func (s *Store) CollectEvery(ctx context.Context, opts *ScheduleOptions) error {
	o := options.Value(opts)
	if o.Every < 0 {
		return errors.New("storage: ScheduleOptions.Every is negative")
	}
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if o.Done == nil {
		o.Done = func(*CollectReport, error) {}
	}
	if _, err := s.collectOptions(&o.Collect); err != nil {
		return err
	}
	waited := "" // the version of the lease for which this process has waited
	for {
		wait, version, err := s.collectIfDue(ctx, o, waited)
		waited = version
		if err != nil && ctx.Err() == nil {
			o.Done(nil, err)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// maxLease is how long a lease lasts at most if its holder does not prolong it.
const maxLease = time.Minute

// leaseTime returns how long a lease lasts if its holder does not prolong it.
func leaseTime(every time.Duration) time.Duration {
	return min(max(every, 5*time.Second), maxLease)
}

// collectIfDue collects if a collection is due and no other process collects, and returns when to
// try again. If that depends on other processes, it also returns the version of the lease, which
// the caller passes to the next call as waited. If the lease still has that version then, its
// holder has died, or its clock was wrong, and this process does not wait for it again.
func (s *Store) collectIfDue(ctx context.Context, opts ScheduleOptions, waited string) (wait time.Duration,
	version string, err error) {
	soon := min(opts.Every, maxLease)
	b, info, err := s.objects.Read(ctx, object.LeaseKey)
	if err != nil && !errors.Is(err, driver.ErrNotExist) {
		return soon, waited, object.RegistryError(err)
	}
	var l leaseRecord
	if err == nil && json.Unmarshal(b, &l) != nil {
		l = leaseRecord{}
	}
	if now := time.Now(); info.Version == "" || info.Version != waited {
		// A wrong clock can delay the next collection, but not by more than opts.Every or maxLease.
		if wait := min(l.Done.Add(opts.Every).Sub(now), opts.Every); wait > 0 {
			return wait, info.Version, nil
		}
		if wait := min(l.Until.Sub(now), maxLease); wait > 0 {
			return wait, info.Version, nil
		}
	}
	lease := &lease{objects: s.objects.WithReserve(), version: info.Version, record: leaseRecord{Done: l.Done},
		time: leaseTime(opts.Every)}
	held, err := lease.prolong(ctx)
	if errors.Is(err, registry.ErrNoSpace) {
		// Collect without a lease, because only a collection can end the lack of space. Other
		// collections at the same time do no harm.
		lease.lost, held, err = true, true, nil
	}
	if err != nil || !held {
		return soon, "", err
	}
	opts.Done(s.collectUnder(ctx, lease, opts))
	return opts.Every, "", nil
}

// collectUnder runs one collection while it prolongs the lease, and then releases the lease.
func (s *Store) collectUnder(ctx context.Context, l *lease, opts ScheduleOptions) (*CollectReport, error) {
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.hold(ctx, stop)
	}()
	_, err := s.ExpireHistory(ctx)
	var r *CollectReport
	if err == nil {
		r, err = s.Collect(ctx, &opts.Collect)
	}
	close(stop)
	<-ended
	if err == nil {
		l.record.Done = time.Now()
		if !opts.Collect.DryRun {
			s.objects.KeepReserve(ctx)
		}
	}
	return r, errors.Join(err, l.release(context.WithoutCancel(ctx)))
}

// lease is the object object.LeaseKey, as this process has read or written it last.
type lease struct {
	objects *object.Store
	version string
	record  leaseRecord
	time    time.Duration // how long it lasts
	lost    bool          // another process has taken it
}

// prolong takes the lease or prolongs it, and reports whether this process holds it.
func (l *lease) prolong(ctx context.Context) (bool, error) {
	l.record.Until = time.Now().Add(l.time)
	return l.write(ctx)
}

// write writes the record of the lease, and reports whether this process holds the lease.
func (l *lease) write(ctx context.Context) (bool, error) {
	if l.lost {
		return false, nil
	}
	l.record.Nonce = object.NewNonce()
	version, err := l.objects.Put(ctx, object.LeaseKey, l.version, &l.record, nil, driver.Deferred)
	switch {
	case err == nil:
		l.version = version
	case object.IsConflict(err):
		l.lost = true // another process holds it and collects too, which does no harm
	default:
		return false, object.RegistryError(err)
	}
	return !l.lost, nil
}

// hold prolongs the lease until stop is closed.
func (l *lease) hold(ctx context.Context, stop <-chan struct{}) {
	t := time.NewTicker(l.time / 3)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			_, _ = l.prolong(ctx) // if this fails every time, another process collects too
		}
	}
}

// release ends the lease, and writes when the last collection ended.
func (l *lease) release(ctx context.Context) error {
	l.record.Until = time.Time{}
	_, err := l.write(ctx)
	return err
}
