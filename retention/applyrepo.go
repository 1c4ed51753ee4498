package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

// application removes what plans let go.
type application struct {
	planner *Planner
	backend registry.Backend
	now     time.Time // as of which the rules are evaluated
	tally   *tally
}

// repository applies the lines of one repository.
func (a *application) repository(ctx context.Context, lines []Line) error {
	want := newIntent(lines)
	if len(want.lines) == 0 {
		return nil
	}
	repo := want.lines[0].Repository
	a.tally.count(func(r *Result) { r.Repositories++ })
	e, err := a.planner.evaluateBy(ctx, &evaluator{p: a.planner, repo: repo, now: a.now, intent: want})
	if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrDamaged) {
		a.tally.count(func(r *Result) { r.LeftAlone++ })
		for _, l := range want.lines {
			a.tally.refuse(l, LeftAlone, err.Error())
		}
		return nil
	}
	if err != nil {
		return err
	}
	e.Restrict(want.has)
	a.compare(e, want)
	return a.remove(ctx, e)
}

// compare reports the lines of the plan that the new evaluation lets stay, and counts those that are done.
func (a *application) compare(e *Evaluation, want *intent) {
	tags := make(map[string]*item, len(e.from.tags))
	for _, t := range e.from.tags {
		tags[t.tag] = t
	}
	decisions := e.tagLines()
	for _, l := range want.lines {
		if l.Tag == "" {
			a.compareManifest(e, l)
			continue
		}
		switch t, d := tags[l.Tag], decisions[l.Tag]; {
		case t.removed:
			a.tally.already()
		case t.digest != l.Digest:
			a.tally.refuse(l, Moved, "it points at "+string(t.digest)+" now")
		case !t.set.Equal(l.Set):
			a.tally.refuse(l, SetAgain, "it was set at "+t.set.UTC().Format(time.RFC3339Nano))
		case !t.goes:
			a.tally.refuse(l, Kept, because(d))
		}
	}
}

// because says why a line stays.
func because(l *Line) string {
	if l.Rule == "" {
		return l.Why
	}
	return "rule " + l.Rule + ": " + l.Why
}

// compareManifest is compare for a line about a manifest.
func (a *application) compareManifest(e *Evaluation, l Line) {
	var n *node
	if e.from.graph != nil {
		n = e.from.graph.find(l.Digest)
	}
	switch {
	case n == nil && (e.from.graph != nil || !e.from.lists(l.Digest)):
		a.tally.already()
	case n == nil:
		a.tally.refuse(l, Kept, "no rule covers the repository")
	case !n.goes:
		a.tally.refuse(l, Kept, e.from.whyStays(n))
	}
}

// lists reports whether the repository has a manifest, without the graph.
func (e *evaluator) lists(d digest.Digest) bool {
	for _, m := range e.manifests {
		if m.Digest == d {
			return true
		}
	}
	return len(e.manifests) == 0
}

// whyStays says why a manifest stays.
func (e *evaluator) whyStays(n *node) string {
	for _, t := range n.tags {
		if !t.goes && !t.removed {
			return "the tag " + t.tag + " points at it"
		}
	}
	switch {
	case n.pinned:
		return "it is pinned"
	case n.busy, !n.served():
		return "something of the image is being pushed, or was pushed a short time ago"
	}
	for p := range e.graph.each(n.parents) {
		if !p.goes {
			return "the manifest " + string(p.digest) + " names it"
		}
	}
	for s := range e.graph.each(n.subjects) {
		if !s.goes {
			return "it refers to " + string(s.digest)
		}
	}
	for _, t := range e.untagged {
		if t.node == n && t.why != "" {
			return t.why
		}
	}
	return "a manifest that stays needs it"
}

// remove removes what an evaluation lets go: first the tags, then the manifests to which nothing leads
// any more. A tag of the referrers tag schema goes after the manifest that it names.
func (a *application) remove(ctx context.Context, e *Evaluation) error {
	var first []Line
	lines := e.tagLines()
	for _, t := range e.from.tags {
		if t.goes && !t.attached && !t.removed {
			first = append(first, *lines[t.tag])
		}
	}
	stays := make([]bool, len(first))
	err := a.each(ctx, len(first), func(i int) (err error) {
		stays[i], err = a.removeTag(ctx, first[i])
		return err
	})
	if err != nil {
		return err
	}
	refused := map[string]bool{}
	for i, l := range first {
		refused[l.Tag] = stays[i]
	}
	e.Restrict(func(l Line) bool { return l.Tag == "" || !refused[l.Tag] })
	if e.from.graph == nil {
		return nil
	}
	return a.removeManifests(ctx, e)
}

// tagLines returns the lines about tags.
func (e *Evaluation) tagLines() map[string]*Line {
	lines := make(map[string]*Line, len(e.from.tags))
	for i := range e.Lines {
		if l := &e.Lines[i]; l.Tag != "" {
			lines[l.Tag] = l
		}
	}
	return lines
}

// removeManifests removes manifests in the order of Evaluation.Delete, those of a level at the same time.
func (a *application) removeManifests(ctx context.Context, e *Evaluation) error {
	lines, attached := e.tagLines(), map[*node][]*item{}
	for _, t := range e.from.tags {
		if t.goes && t.attached && !t.removed && t.of != nil {
			attached[t.of] = append(attached[t.of], t)
		}
	}
	remove := func(ctx context.Context, tags []*item) error {
		for _, t := range tags {
			if _, err := a.removeTag(ctx, *lines[t.tag]); err != nil {
				return err
			}
		}
		return nil
	}
	for _, level := range levels(e.from.graph, e.Delete) {
		err := a.each(ctx, len(level), func(i int) error {
			n := level[i]
			var orphaned []*item
			for _, t := range n.tags {
				if t.orphaned && t.goes && !t.removed {
					orphaned = append(orphaned, t)
				}
			}
			if err := remove(ctx, orphaned); err != nil {
				return err
			}
			gone, err := a.removeManifest(ctx, e.Repository, n)
			if err != nil || !gone {
				return err
			}
			return remove(ctx, attached[n])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// each calls f for 0 to n-1, several at the same time, until one fails or ctx ends.
func (a *application) each(ctx context.Context, n int, f func(i int) error) error {
	return parallel.Each(a.planner.opts.Parallel, n, func(i int) error {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		return f(i)
	})
}

// levels sorts the manifests that go into levels: one comes after what names it, after its subject, and
// after what a tag of the referrers tag schema names that points at it.
func levels(g *graph, order []digest.Digest) [][]*node {
	level := map[*node]int{}
	var of func(n *node) int
	of = func(n *node) int {
		if at, ok := level[n]; ok {
			return at
		}
		level[n] = 0 // ends a circle of tags
		at := 0
		for before := range g.each(n.parents, n.subjects) {
			if before.goes {
				at = max(at, 1+of(before))
			}
		}
		level[n] = at
		return at
	}
	var all [][]*node
	for _, d := range order {
		n := g.find(d)
		for len(all) <= of(n) {
			all = append(all, nil)
		}
		all[of(n)] = append(all[of(n)], n)
	}
	return all
}

// removeTag removes a tag as it was evaluated. stays reports whether that was refused.
func (a *application) removeTag(ctx context.Context, l Line) (stays bool, err error) {
	if !a.tally.opts.DryRun {
		err = a.backend.DeleteManifest(ctx, l.Repository, reference.Ref{Tag: l.Tag}, &registry.DeleteOptions{
			If: &registry.Condition{Match: []digest.Digest{l.Digest}}, NotSetAfter: l.Set,
		})
	}
	switch {
	case err == nil:
		a.tally.count(func(r *Result) { r.Tags, r.Bytes = r.Tags+1, r.Bytes+l.Bytes })
	case errors.Is(err, registry.ErrManifestUnknown):
		a.tally.already()
	case errors.Is(err, registry.ErrPreconditionFailed):
		return true, a.refuseChanged(ctx, l)
	case isDenied(err):
		a.tally.refuse(l, Denied, message(err))
		return true, nil
	default:
		return true, fmt.Errorf("%s:%s: %w", l.Repository, l.Tag, err)
	}
	return false, nil
}

// refuseChanged reports a tag that has changed just before its removal.
func (a *application) refuseChanged(ctx context.Context, l Line) error {
	now, err := a.planner.store.StatManifest(ctx, l.Repository, reference.Ref{Tag: l.Tag}, nil)
	switch {
	case errors.Is(err, registry.ErrManifestUnknown):
		a.tally.already()
	case err != nil:
		return fmt.Errorf("%s:%s: %w", l.Repository, l.Tag, err)
	case now.Digest == l.Digest:
		a.tally.refuse(l, SetAgain, "it was set again just now")
	default:
		a.tally.refuse(l, Moved, "it points at "+string(now.Digest)+" now")
	}
	return nil
}

// removeManifest removes a manifest if nothing leads to it, and reports whether it is gone.
func (a *application) removeManifest(ctx context.Context, repo string, n *node) (gone bool, err error) {
	l := Line{Repository: repo, Digest: n.digest, Decision: Goes}
	if !a.tally.opts.DryRun {
		err = a.backend.DeleteManifest(ctx, repo, reference.Ref{Digest: n.digest}, &registry.DeleteOptions{
			IfUnused: true, NotSetAfter: n.time,
		})
	}
	switch {
	case err == nil:
		a.tally.count(func(r *Result) { r.Manifests++ })
	case errors.Is(err, registry.ErrManifestUnknown):
		a.tally.already()
	case errors.Is(err, registry.ErrPreconditionFailed):
		a.tally.refuse(l, Kept, "it was pushed again just now")
		return false, nil
	case isDenied(err):
		reason := Denied
		if errors.Is(err, storage.ErrUsed) {
			reason = InUse
		}
		a.tally.refuse(l, reason, message(err))
		return false, nil
	default:
		return false, fmt.Errorf("%s@%s: %w", repo, n.digest, err)
	}
	return true, nil
}

// isDenied reports whether a policy forbids a change.
func isDenied(err error) bool {
	return errors.Is(err, registry.ErrDenied) || errors.Is(err, registry.ErrUnauthorized)
}

// message returns the message of an error for clients.
func message(err error) string {
	var e *registry.Error
	if errors.As(err, &e) {
		return e.Message()
	}
	return err.Error()
}
