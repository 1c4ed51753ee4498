package retention

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/reference"
)

// Undo restores through b what Apply has removed by a plan, with the rights of the identity of b. It
// uses the history of the Store, so it works for storage.Options.History after the removal.
//
// A tag gets back its manifest and its age. A tag that exists is never moved. Undo restores a tag or
// manifest only if the history says that its removal was the last change of it, and was after the plan:
// what others have done since stays. So it can be interrupted and repeated. What the plan has not removed
// is counted in Result.Already if it is there.
//
// The rules go on to hold: change them before the next Apply or run of the job, which otherwise removes
// the same again.
//
// It holds the lines of one repository in memory, and makes one request for each event of the history of
// such a repository since the plan, one for each line, and those of the restores.
//
// Errors: [ErrOtherStorage]; *[PlanError]; registry.ErrUnsupported if the Store keeps no history; the error
// of ctx; any other error of b and of the driver. The result counts what was done before an error.
func (p *Planner) Undo(ctx context.Context, b registry.Backend, plan io.Reader, opts *ApplyOptions) (Result, error) {
	r, err := p.execute(ctx, plan, opts, func(by *Planner, t *tally, h Header) func(context.Context, []Line) error {
		u := &undo{planner: by, backend: b, since: h.Made, tally: t}
		return u.repository
	})
	if err != nil {
		err = fmt.Errorf("retention: undoing a plan: %w", err)
	}
	return r, err
}

// undo restores what plans have removed.
type undo struct {
	planner *Planner
	backend registry.Backend
	since   time.Time // when the plan was made
	tally   *tally
}

// changes are the last changes in a repository of what a plan is about.
type changes struct {
	tags      map[string]registry.HistoryEntry
	manifests map[digest.Digest]registry.HistoryEntry // deletes
	deleted   *registry.HistoryEntry                  // the last delete of the repository, or nil
	gone      map[digest.Digest]bool                  // manifests that are gone before anything is restored
}

// repository restores the lines of one repository: first the tags, each with its manifest and all that
// this names, then what nothing has brought back.
func (u *undo) repository(ctx context.Context, lines []Line) error {
	want := newIntent(lines)
	if len(want.lines) == 0 {
		return nil
	}
	u.tally.count(func(r *Result) { r.Repositories++ })
	last, err := u.changes(ctx, want)
	if err != nil {
		return err
	}
	if last.gone, err = u.gone(ctx, want); err != nil {
		return err
	}
	steps := []func(Line) bool{
		func(l Line) bool { return l.Tag != "" && !attached(l.Tag) },
		func(l Line) bool { return l.Tag == "" },
		func(l Line) bool { return l.Tag != "" && attached(l.Tag) },
	}
	for _, step := range steps {
		var some []Line
		for _, l := range want.lines {
			if step(l) {
				some = append(some, l)
			}
		}
		err := parallel.Each(u.planner.opts.Parallel, len(some), func(i int) error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return u.line(ctx, some[i], last)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// gone returns the manifests that the plan has removed and that nobody has brought back.
func (u *undo) gone(ctx context.Context, want *intent) (map[digest.Digest]bool, error) {
	gone := map[digest.Digest]bool{}
	for d := range want.manifests {
		gone[d] = true
	}
	if len(gone) == 0 {
		return gone, nil
	}
	for m, err := range u.planner.store.Inventory().Manifests(ctx, want.lines[0].Repository) {
		if err != nil {
			return nil, err
		}
		delete(gone, m.Digest)
	}
	return gone, nil
}

// attached reports whether a tag is one of the referrers tag schema.
func attached(tag string) bool {
	_, _, ok := subjecttag.Parse(tag)
	return ok
}

// changes reads the history of a repository back to the time of the plan.
func (u *undo) changes(ctx context.Context, want *intent) (*changes, error) {
	c := &changes{
		tags: map[string]registry.HistoryEntry{}, manifests: map[digest.Digest]registry.HistoryEntry{},
	}
	const skew = time.Hour // clocks may differ
	for h, err := range u.planner.store.History(ctx, want.lines[0].Repository, nil) {
		if err != nil {
			return nil, err
		}
		if h.Time.Before(u.since.Add(-skew)) {
			break
		}
		c.note(h, want)
	}
	return c, nil
}

// note notes a change, unless a later one of the same was noted.
func (c *changes) note(h registry.HistoryEntry, want *intent) {
	tags := h.Tags
	if h.Tag != "" {
		tags = []string{h.Tag}
	}
	for _, tag := range tags {
		if _, ok := want.tags[tag]; !ok {
			continue
		}
		if _, later := c.tags[tag]; !later {
			c.tags[tag] = h
		}
	}
	switch {
	case h.Change == registry.ChangeDeleteRepository && c.deleted == nil:
		c.deleted = &h
	case h.Change == registry.ChangeDelete && h.Before != nil:
		if _, later := c.manifests[h.Before.Digest]; !later && want.concerns(h.Before.Digest) {
			c.manifests[h.Before.Digest] = h
		}
	}
}

// concerns reports whether a line of the plan is about a manifest.
func (w *intent) concerns(d digest.Digest) bool {
	_, ok := w.manifests[d]
	return ok
}

// line restores what a line is about.
func (u *undo) line(ctx context.Context, l Line, last *changes) error {
	ref := reference.Ref{Digest: l.Digest}
	if l.Tag != "" {
		ref = reference.Ref{Tag: l.Tag}
	}
	now, err := u.planner.store.StatManifest(ctx, l.Repository, ref, nil)
	switch {
	case err == nil && l.Tag == "" && last.gone[l.Digest]:
		return u.report(l, nil) // it has come back with a tag or an index
	case err == nil && now.Digest == l.Digest:
		u.tally.already()
		return nil
	case err == nil:
		u.tally.refuse(l, Moved, "the tag points at "+string(now.Digest))
		return nil
	case !errors.Is(err, registry.ErrManifestUnknown) && !errors.Is(err, registry.ErrNameUnknown):
		return fmt.Errorf("%s: %w", l.Repository, err)
	}
	if reason, detail := u.refuses(l, last); reason != "" {
		u.tally.refuse(l, reason, detail)
		return nil
	}
	if u.tally.opts.DryRun {
		return u.report(l, nil)
	}
	return u.report(l, u.restore(ctx, l, ref))
}

// refuses says why a tag or manifest that is gone is not restored. The reason is "" if it is.
func (u *undo) refuses(l Line, last *changes) (Reason, string) {
	if last.deleted != nil {
		return Changed, "the repository was deleted" + by(*last.deleted)
	}
	h, ok := last.tags[l.Tag]
	if l.Tag == "" {
		h, ok = last.manifests[l.Digest]
	}
	switch {
	case !ok:
		return Lost, "the history does not have its removal any more"
	case l.Tag != "" && (h.Change != registry.ChangeUntag || h.Before == nil || h.Before.Digest != l.Digest),
		l.Tag == "" && len(h.Tags) > 0:
		return Changed, "it was changed" + by(h)
	}
	return "", ""
}

// by says when and by whom a change was made.
func by(h registry.HistoryEntry) string {
	text := " at " + h.Time.UTC().Format(time.RFC3339)
	if h.By != "" {
		text += " by " + h.By
	}
	return text
}

// restore restores a tag, or a manifest without tags.
func (u *undo) restore(ctx context.Context, l Line, ref reference.Ref) error {
	opts := &registry.RestoreOptions{SetTag: func(t *registry.TagPut) error {
		t.IfAbsent = true
		return nil
	}}
	if l.Tag != "" {
		opts.To = l.Digest
	}
	_, err := u.backend.Restore(ctx, l.Repository, ref, opts)
	return err
}

// report counts a line by the outcome of its restore.
func (u *undo) report(l Line, err error) error {
	switch {
	case err == nil && l.Tag != "":
		u.tally.count(func(r *Result) { r.Tags++ })
	case err == nil:
		u.tally.count(func(r *Result) { r.Manifests++ })
	case errors.Is(err, registry.ErrTagExists), errors.Is(err, registry.ErrPreconditionFailed):
		u.tally.refuse(l, Moved, "the tag was set just now")
	case errors.Is(err, registry.ErrManifestUnknown), errors.Is(err, registry.ErrNameUnknown),
		errors.Is(err, registry.ErrManifestBlobUnknown):
		u.tally.refuse(l, Lost, message(err))
	case isDenied(err):
		u.tally.refuse(l, Denied, message(err))
	default:
		return fmt.Errorf("%s: restoring %s%s: %w", l.Repository, l.Tag, l.Digest, err)
	}
	return nil
}
