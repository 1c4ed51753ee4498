package storage

import (
	"context"
	"iter"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// errNoHistory is returned when Options.History is 0.
var errNoHistory = registry.ErrUnsupported.WithMessage("this registry keeps no history")

// History implements [registry.Restorer]. The cost of a page depends on its length only, with one
// exception: for the history of a single tag, the keys of all events are listed, and the events of
// deleted manifests are read.
func (s *Store) History(ctx context.Context, repo string,
	opts *registry.HistoryOptions) iter.Seq2[registry.HistoryEntry, error] {
	return func(yield func(registry.HistoryEntry, error) bool) {
		if err := s.checkHistory(repo, opts); err != nil {
			yield(registry.HistoryEntry{}, err)
			return
		}
		var list iter.Seq2[*object.Event, error]
		if tag := options.Value(opts).Tag; tag != "" {
			list = s.repo(repo).TagEvents(ctx, tag, opts)
		} else {
			list = s.repo(repo).SomeEvents(ctx, opts)
		}
		for e, err := range list {
			if err != nil {
				yield(registry.HistoryEntry{}, err)
				return
			}
			if !yield(historyEntry(e), nil) {
				return
			}
		}
	}
}

// checkHistory checks the names, and that history is kept.
func (s *Store) checkHistory(repo string, opts *registry.HistoryOptions) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	if tag := options.Value(opts).Tag; tag != "" {
		if err := registry.CheckTag(tag); err != nil {
			return err
		}
	}
	if s.opts.History == 0 {
		return errNoHistory
	}
	return nil
}

// historyEntry returns an event as clients see it.
func historyEntry(e *object.Event) registry.HistoryEntry {
	h := registry.HistoryEntry{
		ID: e.ID, Time: e.Time, Change: object.Changes[e.Kind], By: e.By, Tags: e.Tags, Before: e.Before, After: e.After,
		Unconfirmed: !e.Confirmed,
	}
	if e.Kind == object.EventDelete {
		h.Of = e.Group
	}
	if e.Kind == object.EventTag || e.Kind == object.EventUntag {
		h.Tag = e.Subject
	}
	return h
}

// ExpireHistory removes the events that are older than Options.History, or all events if that is 0.
// It returns the number of events that it has removed. Afterwards, collections can remove the
// content that only these events kept.
//
// [Store.CollectEvery] calls it before each collection. A program with a schedule of its own calls
// it periodically, for example once a day. It can run at any time, on any number of replicas.
//
// Errors: any error of the driver. The number counts what was removed before it.
func (s *Store) ExpireHistory(ctx context.Context) (int, error) {
	removed := 0
	oldest := object.InvertTime(time.Now().Add(-s.opts.History))
	for info, err := range s.objects.Driver.List(ctx, object.HistoryPrefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return removed, object.RegistryError(err)
		}
		e := object.ParseEvent(object.Base(info.Key))
		if e == nil || s.opts.History > 0 && e.ID[:len(oldest)] <= oldest {
			continue
		}
		if err := s.objects.Remove(ctx, info.Key, ""); err != nil {
			return removed, object.RegistryError(err)
		}
		removed++
	}
	return removed, nil
}
