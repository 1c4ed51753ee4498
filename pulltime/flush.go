package pulltime

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

const (
	// attempts is how often a write that loses to other writers is repeated.
	attempts = 8
	// deadAfter is the time without a write after which the object of a replica is merged into that
	// of another one. A replica that still lives begins a new object.
	deadAfter = 24 * time.Hour
	// lookEvery is the time between two looks for objects of dead replicas of a repository.
	lookEvery = 6 * time.Hour
	// maxLooked is the maximum length of Recorder.looked.
	maxLooked = 10_000
	// lastFlush is the time that Run has for its last write.
	lastFlush = 10 * time.Second
)

// Run writes the pulls every Options.Interval until ctx ends, and then once more. A failed write is
// repeated the next time.
//
// Errors: the error of ctx.
func (r *Recorder) Run(ctx context.Context) error {
	t := time.NewTicker(r.opts.Interval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			_ = r.Flush(last) // all that is lost are times
			return ctx.Err()
		case <-t.C:
		case <-r.early:
			t.Reset(r.opts.Interval)
		}
		_ = r.flush(ctx, r.opts.MaxWrites)
	}
}

// Flush writes all pulls of this process. Run does so by itself.
//
// Errors: any error of the driver. Pulls that were not written stay in memory, for the next Flush.
func (r *Recorder) Flush(ctx context.Context) error { return r.flush(ctx, -1) }

// flush writes the pulls of up to limit repositories, or of all if limit is negative.
func (r *Recorder) flush(ctx context.Context, limit int) error {
	done, err := r.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	var errs []error
	for i, repo := range r.order() {
		if i == limit || ctx.Err() != nil {
			break
		}
		if err := r.flushRepository(ctx, repo); err != nil {
			errs = append(errs, err)
			if len(errs) == 3 {
				break // the storage is unavailable
			}
		}
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// begin waits until no other Flush or Forget of this process runs. The caller calls done.
//
// Errors: the error of ctx.
func (r *Recorder) begin(ctx context.Context) (done func(), err error) {
	select {
	case r.writing <- struct{}{}:
		return func() { <-r.writing }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// order returns the repositories with pulls, those that have waited longest first.
func (r *Recorder) order() []string {
	r.mu.RLock()
	repos := slices.Collect(maps.Keys(r.pending))
	r.mu.RUnlock()
	waiting := make(map[string]int, len(repos))
	for _, repo := range repos {
		waiting[repo] = r.waiting[repo] + 1
	}
	r.waiting = waiting
	slices.SortFunc(repos, func(a, b string) int {
		return cmp.Or(-cmp.Compare(waiting[a], waiting[b]), cmp.Compare(a, b))
	})
	return repos
}

// flushRepository writes the pulls of one repository.
func (r *Recorder) flushRepository(ctx context.Context, repo string) error {
	r.mu.RLock()
	now := make(map[string]int64, len(r.pending[repo]))
	for ref, at := range r.pending[repo] {
		now[ref] = at.Load()
	}
	r.mu.RUnlock()
	if len(now) == 0 {
		return nil
	}
	dead, err := r.deadReplicas(ctx, repo)
	if err != nil {
		return wrap("reading", repo, err)
	}
	key := prefix(repo) + r.replica
	err = r.update(ctx, key, func(rec *record) bool {
		merge(rec, &record{Refs: now})
		for _, d := range dead {
			merge(rec, d.record)
		}
		return true
	})
	if err != nil {
		return wrap("writing", repo, err)
	}
	r.written(repo, now)
	if len(dead) == 0 {
		return nil
	}
	// Deferred writes survive a kill. The others are removed only when this one survives a loss of
	// power, too.
	if err := r.driver.Sync(ctx, key); err != nil {
		return wrap("writing", repo, err)
	}
	for _, d := range dead {
		err := r.driver.Delete(ctx, d.Key, d.Version)
		if err != nil && !errors.Is(err, driver.ErrNotExist) && !driver.IsConflict(err) {
			return wrap("removing", repo, err)
		}
	}
	return nil
}

// merge adds the times of a record to another one.
func merge(to, from *record) {
	to.Rest = max(to.Rest, from.Rest)
	for ref, at := range from.Refs {
		to.Refs[ref] = max(to.Refs[ref], at)
	}
}

// update changes the record at key with f, which is called with what is there. f reports whether it
// has changed the record.
//
// Errors: any error of the driver.
func (r *Recorder) update(ctx context.Context, key string, f func(*record) bool) error {
	var err error
	for range attempts {
		rec, info, rerr := r.read(ctx, key)
		if errors.Is(rerr, driver.ErrNotExist) {
			rec, info.Version = &record{Refs: map[string]int64{}}, ""
		} else if rerr != nil {
			return rerr
		}
		if !f(rec) {
			return nil
		}
		// A write whose response was lost may conflict with itself. Writing the times again is harmless.
		if err = r.write(ctx, key, info.Version, rec); !driver.IsConflict(err) {
			return err
		}
	}
	return err
}

// written forgets the pulls that were written, except those that are newer by now.
func (r *Recorder) written(repo string, times map[string]int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending[repo]
	for ref, t := range times {
		if at := p[ref]; at != nil && at.Load() <= t {
			delete(p, ref)
			r.size--
		}
	}
	if len(p) == 0 {
		delete(r.pending, repo)
		delete(r.waiting, repo)
	}
}

// deadReplica is the object of a replica that has not written for deadAfter.
type deadReplica struct {
	driver.Info
	*record
}

// deadReplicas returns the objects of a repository that nobody has written for deadAfter. It looks
// for them once in lookEvery.
func (r *Recorder) deadReplicas(ctx context.Context, repo string) ([]deadReplica, error) {
	if at, ok := r.looked[repo]; ok && time.Since(at) < lookEvery {
		return nil, nil
	}
	var dead []deadReplica
	for info, err := range r.driver.List(ctx, prefix(repo), nil) {
		if err != nil {
			return nil, err
		}
		if info.Key == prefix(repo)+r.replica || time.Since(info.ModTime) < deadAfter {
			continue
		}
		rec, now, err := r.read(ctx, info.Key)
		if errors.Is(err, driver.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		dead = append(dead, deadReplica{driver.Info{Key: info.Key, Version: now.Version}, rec})
	}
	if len(r.looked) >= maxLooked {
		clear(r.looked)
	}
	r.looked[repo] = time.Now()
	return dead, nil
}

// Forget drops the times of manifests and tags that are gone, given as digests and tags. Without
// refs, it drops all times of the repository. A pull that another replica has not written yet
// brings its time back. Forget makes a request for each replica and one or two more for each that
// has such times.
//
// Errors: any error of the driver.
func (r *Recorder) Forget(ctx context.Context, repo string, refs ...string) error {
	done, err := r.begin(ctx) // a Flush must not write again what it has read before
	if err != nil {
		return err
	}
	defer done()
	r.forgetPending(repo, refs)
	for info, err := range r.driver.List(ctx, prefix(repo), &driver.ListOptions{KeysOnly: true}) {
		if err == nil && len(refs) > 0 {
			err = r.update(ctx, info.Key, func(rec *record) bool {
				before := len(rec.Refs)
				for _, ref := range refs {
					delete(rec.Refs, ref)
				}
				return len(rec.Refs) < before
			})
		} else if err == nil {
			err = r.driver.Delete(ctx, info.Key, "")
			if errors.Is(err, driver.ErrNotExist) {
				err = nil
			}
		}
		if err != nil {
			return wrap("dropping", repo, err)
		}
	}
	return nil
}

// forgetPending drops times that are not written yet.
func (r *Recorder) forgetPending(repo string, refs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pending[repo]
	if len(refs) == 0 {
		refs = slices.Collect(maps.Keys(p))
	}
	for _, ref := range refs {
		if p[ref] != nil {
			delete(p, ref)
			r.size--
		}
	}
	if len(p) == 0 {
		delete(r.pending, repo)
		delete(r.waiting, repo)
	}
}
