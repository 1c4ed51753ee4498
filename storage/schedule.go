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

// leaseRecord is the content of the object leaseKey. It only saves work: two collections at once
// are safe.
type leaseRecord struct {
	Nonce string    `json:"nonce"`
	Until time.Time `json:"until"` // somebody is collecting, who prolongs this
	Done  time.Time `json:"done"`  // when the last collection ended
}

// defaultEvery is the time between two collections that are scheduled without a time.
const defaultEvery = 24 * time.Hour

// ScheduleOptions are the options of [Store.CollectEvery]. The zero value is valid.
type ScheduleOptions struct {
	// Every is the time from the end of one collection to the start of the next. Default: 24 hours.
	Every time.Duration
	// Collect are the options of each collection.
	Collect CollectOptions
	// Done, if not nil, is called after each collection of this process with its report and its
	// error. The report is nil if the collection did not start. Default: the results are discarded.
	Done func(*CollectReport, error)
}

// CollectEvery runs garbage collection periodically until ctx ends, and removes history that is
// older than Options.History. opts may be nil. Start it in a goroutine on every replica: processes
// that share a storage take turns under a lease, and only its holder collects. When the holder
// dies, another process takes over soon.
//
// A collection that fails is reported to ScheduleOptions.Done, and CollectEvery tries again later.
//
// Errors: that of ctx; at once, ErrSingleProcess, and an error for an option that is not valid.
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
	waited := "" // the version of the lease that has been waited for
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

// maxLease is the most that a lease lasts which nobody prolongs.
const maxLease = time.Minute

func leaseTime(every time.Duration) time.Duration {
	return min(max(every, 5*time.Second), maxLease)
}

// collectIfDue collects if that is due and nobody else does, and returns when to try again. If that
// depends on others, it returns the version of the lease: if it is the same then, they have died,
// or their clock was wrong, and they are not waited for again.
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
		// A clock that goes wrong may delay the next collection, but not for longer than this.
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
		lease.lost, held, err = true, true, nil // without one: there must be an end to this, and others do no harm
	}
	if err != nil || !held {
		return soon, "", err
	}
	opts.Done(s.collectUnder(ctx, lease, opts))
	return opts.Every, "", nil
}

// collectUnder collects while it holds the lease.
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

// lease is the object leaseKey in the version that this process has written.
type lease struct {
	objects *object.Store
	version string
	record  leaseRecord
	time    time.Duration
	lost    bool
}

// prolong takes the lease, or takes it on, and reports whether this process has it.
func (l *lease) prolong(ctx context.Context) (bool, error) {
	l.record.Until = time.Now().Add(l.time)
	return l.write(ctx)
}

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
		l.lost = true // somebody else has it: that does no harm
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
			_, _ = l.prolong(ctx) // the next may succeed; if none does, another collects as well
		}
	}
}

// release gives the lease up, and says when the collection ended.
func (l *lease) release(ctx context.Context) error {
	l.record.Until = time.Time{}
	_, err := l.write(ctx)
	return err
}
