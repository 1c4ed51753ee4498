package outbox

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/notification"
)

// Source lists what is in the registry. *storage.Store implements it.
type Source interface {
	// Visible yields, repository by repository in ascending order, every manifest and every tag that
	// is visible and was written at or after since. A zero since yields everything.
	Visible(ctx context.Context, since time.Time) iter.Seq2[notification.Visible, error]
}

// ReindexOptions are the options of [Outbox.Reindex]. nil means the zero ReindexOptions.
type ReindexOptions struct {
	// Grace is how old a change must be before Reindex takes its event for lost. It must be longer
	// than Options.WriteTimeout. Reindex waits that long before it announces a delete. Default: 1
	// minute.
	Grace time.Duration
	// All also announces content that is older than the log. Default: false.
	All bool
}

// ReindexReport counts what [Outbox.Reindex] has done.
type ReindexReport struct {
	// Visible is the number of manifests and tags that the Source listed, and Events the number of
	// stored events.
	Visible, Events int64
	// Pushed, Moved and Deleted are the numbers of events that were stored for changes without one.
	Pushed, Moved, Deleted int64
}

const defaultGrace = time.Minute

// errGrace is returned for a grace period in which an event may still be written.
var errGrace = errors.New("outbox: ReindexOptions.Grace is not longer than Options.WriteTimeout")

// Reindex compares src with the stored events, and stores an event for each change that has none
// because a process died between the change and its event. The events have Found set. Content that
// was written again lately, and whose event is older than Options.Keep, is announced again. Run it
// on one replica at a time. opts may be nil.
//
// Reindex keeps about 300 bytes for each tag and manifest that the stored events name.
//
// Errors: errors of src and of the storage, and those of Notify. The report counts what was done.
func (o *Outbox) Reindex(ctx context.Context, src Source, opts *ReindexOptions) (ReindexReport, error) {
	ro := options.Value(opts)
	if ro.Grace == 0 {
		ro.Grace = defaultGrace
	}
	if ro.Grace <= o.opts.WriteTimeout {
		return ReindexReport{}, errGrace
	}
	var report ReindexReport
	log := &fold{words: map[name]word{}, removed: map[string]time.Time{}}
	cursor, err := log.read(ctx, o, "")
	report.Events = log.events
	if err != nil || log.events == 0 && !ro.All {
		return report, err
	}
	since := log.start
	if old := time.Now().Add(-o.opts.Keep); old.After(since) {
		since = old
	}
	if ro.All {
		since = time.Time{}
	}
	now := time.Now()
	found, gone, err := o.compare(ctx, src, log, since, now.Add(-ro.Grace), &report)
	if err != nil {
		return report, err
	}
	if len(gone) > 0 { // the event of a delete may be on its way
		if err := pause.Sleep(ctx, time.Until(now.Add(ro.Grace))); err != nil {
			return report, err
		}
		if err := exclude(ctx, src, gone); err != nil {
			return report, err
		}
	}
	if _, err := log.read(ctx, o, cursor); err != nil { // the second look
		return report, err
	}
	return report, o.announce(ctx, log, found, gone, &report)
}

// compare returns what is visible without an event, and what has an event and is not visible.
func (o *Outbox) compare(ctx context.Context, src Source, log *fold, since, before time.Time, report *ReindexReport) (
	found []notification.Visible, gone map[name]bool, err error) {
	gone = map[name]bool{}
	for n := range log.words {
		if w, _ := log.last(n); w.exists && w.time.Before(before) {
			gone[n] = true
		}
	}
	for v, err := range src.Visible(ctx, since) {
		if err != nil {
			return nil, nil, err
		}
		report.Visible++
		n := nameOf(v)
		delete(gone, n)
		if w, known := log.last(n); v.Time.Before(before) && (!known || !w.exists || w.target != v.Target.Digest) {
			found = append(found, v)
		}
	}
	if len(gone) > 0 { // what was not written again since the start of the log may be visible
		err = exclude(ctx, src, gone)
	}
	return found, gone, err
}

func nameOf(v notification.Visible) name {
	if v.Tag != "" {
		return name{v.Repository, v.Tag, ""}
	}
	return name{v.Repository, "", v.Target.Digest}
}

// exclude removes from gone what is visible.
func exclude(ctx context.Context, src Source, gone map[name]bool) error {
	for v, err := range src.Visible(ctx, time.Time{}) {
		if err != nil {
			return err
		}
		delete(gone, nameOf(v))
	}
	return nil
}

// announce stores the events of changes that the log does not have.
func (o *Outbox) announce(ctx context.Context, log *fold, found []notification.Visible, gone map[name]bool,
	report *ReindexReport) error {
	type target struct {
		repository string
		digest     digest.Digest
	}
	events := map[target]*notification.Event{}
	moves := map[target][]notification.Event{}
	var order []target
	for _, v := range found {
		n := nameOf(v)
		w, known := log.last(n)
		if known && w.exists && w.target == v.Target.Digest {
			continue // its event came meanwhile
		}
		if !v.Time.After(w.time) { // by another clock, or of whole seconds
			v.Time = w.time.Add(time.Nanosecond) // so that this event is the last word about the name
		}
		key := target{v.Repository, v.Target.Digest}
		e := events[key]
		if e == nil {
			d := v.Target
			e = &notification.Event{Time: v.Time, Action: notification.Push, Kind: notification.Manifest,
				Repository: v.Repository, Target: &d, Instance: o.opts.Instance, Found: true}
			events[key], order = e, append(order, key)
		}
		if v.Time.After(e.Time) {
			e.Time = v.Time
		}
		if v.Tag == "" {
			continue
		}
		e.Tags = append(e.Tags, v.Tag)
		if known && w.exists && w.target != "" {
			m := *e
			m.Action, m.Kind, m.Tags, m.Previous, m.Time = notification.Move, notification.Tag, []string{v.Tag}, w.target, v.Time
			moves[key] = append(moves[key], m)
		}
	}
	slices.SortStableFunc(order, func(a, b target) int { return events[a].Time.Compare(events[b].Time) })
	for _, key := range order {
		batch := append([]notification.Event{*events[key]}, moves[key]...)
		for i := range batch {
			batch[i].ID = notification.NewID()
		}
		if err := o.Notify(ctx, batch); err != nil {
			return err
		}
		report.Pushed++
		report.Moved += int64(len(batch) - 1)
	}
	return o.announceGone(ctx, log, gone, report)
}

// announceGone stores the events of deletes, tags before manifests.
func (o *Outbox) announceGone(ctx context.Context, log *fold, gone map[name]bool, report *ReindexReport) error {
	names := slices.SortedFunc(maps.Keys(gone), func(a, b name) int {
		return cmp.Or(cmp.Compare(a.repository, b.repository), cmp.Compare(b.tag, a.tag), cmp.Compare(a.digest, b.digest))
	})
	for _, n := range names {
		w, _ := log.last(n)
		if !w.exists {
			continue // its event came meanwhile
		}
		e := notification.Event{ID: notification.NewID(), Time: time.Now().Round(0), Action: notification.Delete,
			Kind: notification.Manifest, Repository: n.repository, Instance: o.opts.Instance, Found: true}
		if w.target != "" {
			e.Target = &ocispec.Descriptor{Digest: w.target}
		}
		if n.tag != "" {
			e.Kind, e.Tags = notification.Tag, []string{n.tag}
		}
		if err := o.Notify(ctx, []notification.Event{e}); err != nil {
			return err
		}
		report.Deleted++
	}
	return nil
}
