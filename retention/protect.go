package retention

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/registrykit/registry/internal/duration"
	"github.com/registrykit/registry/internal/pinkey"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// protect lets stay what no rule may remove. It reads the manifests and pins only if something is
// to go.
func (e *evaluator) protect(ctx context.Context) error {
	goes := func(t *item) bool { return t.goes }
	if e.intent == nil && !slices.ContainsFunc(e.tags, goes) && !slices.ContainsFunc(e.untagged, goes) {
		return nil
	}
	if err := e.needGraph(ctx); err != nil {
		return err
	}
	if err := e.spareTags(ctx); err != nil {
		return err
	}
	e.markBusy()
	busy := "something of the image is being pushed"
	if e.p.opts.MinAge > 0 {
		busy = "something of the image was pushed within " + duration.Format(e.p.opts.MinAge)
	}
	for t := range e.items() {
		if t.goes && t.node.busy {
			t.spare(busy)
		}
	}
	return nil
}

// items yields the tags and the untagged manifests.
func (e *evaluator) items() iter.Seq[*item] {
	return func(yield func(*item) bool) {
		for _, list := range [][]*item{e.tags, e.untagged} {
			for _, t := range list {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// spareTags lets tags stay that are protected by themselves, and marks pinned manifests.
func (e *evaluator) spareTags(ctx context.Context) error {
	pinned, err := e.pins(ctx)
	if err != nil {
		return err
	}
	protects := func(string) bool { return false }
	if e.p.opts.Protects != nil {
		if f := e.p.opts.Protects(e.repo); f != nil {
			protects = f
		}
	}
	for _, t := range e.tags {
		why := ""
		switch {
		case protects(t.tag):
			why = "the tag is immutable"
		case pinned[t.tag]:
			why = "the tag is pinned"
		case len(t.pending) > 0:
			why = "a push is about to move the tag"
		case e.isYoung(t.set):
			why = "set within " + duration.Format(e.p.opts.MinAge)
		case t.node == nil:
			why = "its manifest is gone"
		}
		if why == "" {
			continue
		}
		if t.spare(why); t.attached {
			t.decide(false, nil, why)
		}
	}
	return nil
}

// pins returns the pinned tags, and marks the pinned manifests.
func (e *evaluator) pins(ctx context.Context) (tags map[string]bool, err error) {
	tags = map[string]bool{}
	for info, err := range e.p.driver.List(ctx, pinkey.Of(e.repo), &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return nil, fmt.Errorf("listing the pins: %w", err)
		}
		_, ref, ok := pinkey.Parse(info.Key)
		if !ok {
			continue
		}
		if n := e.graph.find(ref.Digest); n != nil {
			n.pinned = true
		}
		tags[ref.Tag] = true
	}
	return tags, nil
}

// isYoung reports whether a push at that time may be a part of one in progress.
func (e *evaluator) isYoung(at time.Time) bool {
	return e.p.opts.MinAge > 0 && at.After(e.now.Add(-e.p.opts.MinAge))
}

// isYoungPush reports whether a manifest that was last pushed at that time may be a part of a push in
// progress. A push of a manifest that is in the repository changes that time only if it is longer ago
// than half the grace period.
func (e *evaluator) isYoungPush(at time.Time) bool {
	return e.p.opts.MinAge > 0 && at.After(e.now.Add(-max(e.p.opts.MinAge, e.p.renewal)))
}

// markBusy marks what is being pushed, and all that leads to it.
func (e *evaluator) markBusy() {
	g := e.graph
	var pushed, from []*node
	for i := range g.nodes {
		n := &g.nodes[i]
		switch {
		case !n.served():
			pushed = append(pushed, n)
		case n.state != storage.ManifestDeleting && !n.marked && e.isYoungPush(n.pushed):
			from = append(from, n) // the time of a manifest that is being deleted is that of the delete
		}
	}
	for _, t := range e.tags {
		if t.attached && t.node != nil && e.isYoung(t.set) {
			from = append(from, t.node)
		}
		for _, d := range t.pending {
			if n := g.find(d); n != nil {
				from = append(from, n)
			}
		}
	}
	// What a push in progress names stays, but a push has no referrers yet.
	seen := map[*node]bool{}
	spread(pushed, func(n *node) iter.Seq[*node] { return g.each(n.children) }, func(n *node) bool {
		if seen[n] {
			return false
		}
		seen[n] = true
		from = append(from, n)
		return true
	})
	spread(from, g.up, func(n *node) bool {
		if n.busy {
			return false
		}
		n.busy = true
		return true
	})
}
