package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/registrykit/registry/storage"
)

// collectBeside also runs collections in this process, without the lease of the servers, because
// two concurrent collections must be safe. It interrupts some of its collections.
func (s *soaker) collectBeside(ctx context.Context) {
	rng := rand.New(rand.NewPCG(s.config.seed, 1<<32))
	for ctx.Err() == nil {
		one, cancel := ctx, context.CancelFunc(func() {})
		if rng.IntN(4) == 0 {
			one, cancel = context.WithTimeout(ctx, time.Duration(rng.Int64N(int64(time.Second))))
		}
		r, err := s.store.Collect(one, &storage.CollectOptions{Untagged: s.config.untagged})
		broken := one.Err() != nil
		cancel()
		s.collected(r)
		switch {
		case broken:
			s.report.event("collections here that were broken off", 1)
		case err != nil:
			s.failed("collection", err)
			return
		default:
			s.report.event("collections here", 1)
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.config.every):
		}
	}
}

// countCollections counts the collections of the servers. A server records the end of each
// collection in the lease.
func (s *soaker) countCollections(ctx context.Context) {
	for last := ""; ctx.Err() == nil; {
		r, _, err := s.place.driver.Open(ctx, "lease/collect", nil)
		if err == nil {
			var lease struct{ Done string }
			if err := json.NewDecoder(r).Decode(&lease); err == nil && lease.Done != last {
				last = lease.Done
				s.report.event("collections of the servers", 1)
			}
			r.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(s.config.every / 4):
		}
	}
}

// collected records the results of a collection.
func (s *soaker) collected(r *storage.CollectReport) {
	if r == nil {
		return
	}
	s.journal.note("collection in %v: %+v", r.Duration, *r)
	for kind, n := range map[string]int64{
		"removed here: pending manifests":  r.Removed.Pending,
		"removed here: untagged manifests": r.Removed.Untagged,
		"removed here: links":              r.Removed.Blobs,
		"removed here: data":               r.Removed.Data,
		"removed here: pointers":           r.Removed.Pointers,
		"removed here: uploads":            r.Removed.Uploads,
		"removed here: repositories":       r.Removed.Repositories,
	} {
		s.report.event(kind, int(n))
	}
}

// collections is the number of collections at the end. The first may complete interrupted
// collections. The second removes an index and the third its children. The last two remove their
// referrers and all their blobs.
const collections = 5

// collectAll collects without a grace period until no unreferenced content is left. All uploads
// must have ended.
func (s *soaker) collectAll(ctx context.Context) error {
	store, err := s.place.store(ctx, 0, time.Millisecond)
	if err != nil {
		return err
	}
	for range collections {
		r, err := store.Collect(ctx, &storage.CollectOptions{Untagged: s.config.untagged})
		s.collected(r)
		if err != nil {
			return err
		}
	}
	return nil
}
