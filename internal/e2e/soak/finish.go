package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// finish checks everything that must exist and deletes all but a few images. It then runs
// collections and compares the remaining content with the remaining images.
func (s *soaker) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	s.all(ctx, "final check", (*worker).checkAll)
	if _, err := s.measure(ctx, "at the end"); err != nil {
		return err
	}
	keep := s.keep()
	s.all(ctx, "final delete", func(w *worker, ctx context.Context) error { return w.deleteAllBut(ctx, keep) })
	if err := s.store.DeleteRepository(ctx, commonRepo, nil); err != nil {
		return err
	}
	if s.config.keep {
		if err := s.waitForRetention(ctx); err != nil {
			return err
		}
	}
	if err := s.report.err(); err != nil {
		return err
	}
	if _, err := s.measure(ctx, "all but a few deleted"); err != nil {
		return err
	}
	// A stopped server leaves its collection unfinished. From here on, no other process collects.
	if err := s.restart(); err != nil {
		return err
	}
	if err := s.waitForRefused(ctx); err != nil {
		return err
	}
	if err := s.collectAll(ctx); err != nil {
		return err
	}
	keys, err := s.measure(ctx, "collected")
	if err != nil {
		return err
	}
	if err := s.compare(ctx, keys, keep); err != nil {
		return err
	}
	if s.config.keep {
		if err := s.scrubAll(ctx); err != nil {
			return err
		}
	}
	for _, img := range keep {
		if err := s.workers[0].pull(ctx, img); err != nil {
			s.failed("w0, pull at the end", err)
		}
	}
	s.report.event("images kept at the end", len(keep))
	return nil
}

// restart restarts the servers with collections disabled.
func (s *soaker) restart() (err error) {
	if err := s.fleet.Stop(); err != nil {
		return err
	}
	if s.fleet, err = s.start(0); err != nil {
		return err
	}
	for _, w := range s.workers {
		w.c.Route = s.fleet.Client().Route
	}
	return nil
}

// waitForRefused waits until no manifest remains that collectors keep for a while whatever the
// grace period. These are manifests whose push was refused. If there are none, waitForRefused
// returns immediately.
func (s *soaker) waitForRefused(ctx context.Context) error {
	for info, err := range s.place.driver.List(ctx, "r/", nil) {
		if err != nil {
			return err
		}
		if prefix(info.Key) != "r/m/" {
			continue
		}
		kept, err := s.isKeptForAWhile(ctx, info.Key)
		if err != nil {
			return err
		}
		if !kept {
			continue
		}
		s.report.event("manifests at the end that were refused", 1)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(info.ModTime.Add(remembered + time.Second))): // buckets store times in whole seconds
		}
	}
	return nil
}

// isKeptForAWhile reads the record of a manifest. It reports whether a collector waits before it
// removes the manifest. A collector removes a visible manifest only with config.untagged.
func (s *soaker) isKeptForAWhile(ctx context.Context, key string) (bool, error) {
	r, _, err := s.place.driver.Open(ctx, key, nil)
	if err != nil {
		return false, err
	}
	defer r.Close()
	var record struct {
		State string
		Again bool
	}
	err = json.NewDecoder(r).Decode(&record) // the first line only
	return record.State == "refused" || record.Again && (record.State == "pending" || s.config.untagged), err
}

// all runs f concurrently for each worker.
func (s *soaker) all(ctx context.Context, what string, f func(*worker, context.Context) error) {
	var wg sync.WaitGroup
	for _, w := range s.workers {
		wg.Go(func() {
			if err := f(w, ctx); err != nil {
				s.failed(fmt.Sprintf("w%d, %s", w.id, what), err)
			}
		})
	}
	wg.Wait()
}

// keep chooses the images that remain: an image, an index with its children, and a referrer with
// its subject. None of them is in a worker's own repository.
func (s *soaker) keep() []*image {
	var kept []*image
	shared := func(img *image) bool { return strings.HasPrefix(img.repo, "soak/shared-") }
	first := func(fits func(*image) bool) {
		for _, w := range s.workers {
			for _, img := range w.mine {
				if shared(img) && len(img.tags) > 0 && !slices.Contains(kept, img) && fits(img) {
					kept = append(append(kept, img), img.children...)
					return
				}
			}
		}
	}
	first(func(img *image) bool { return img.children == nil && img.subject == nil })
	first(func(img *image) bool { return img.children != nil })
	first(func(img *image) bool {
		return img.subject == nil && slices.ContainsFunc(img.referrers, func(r *image) bool { return r.there })
	})
	for _, img := range slices.Clone(kept) {
		for _, r := range img.referrers {
			if r.there {
				kept = append(kept, r)
			}
		}
	}
	return kept
}

// deleteAllBut deletes all images of the worker except kept. It deletes the worker's own repository
// as a whole, and the other images one by one.
func (w *worker) deleteAllBut(ctx context.Context, kept []*image) error {
	if err := w.deleteKept(ctx); err != nil {
		return err
	}
	if err := w.deleteRepository(ctx); err != nil {
		return err
	}
	for {
		i := slices.IndexFunc(w.mine, func(img *image) bool { return !slices.Contains(kept, img) })
		if i < 0 {
			return nil
		}
		if err := w.deleteImage(ctx, w.mine[i]); err != nil {
			return err
		}
	}
}
