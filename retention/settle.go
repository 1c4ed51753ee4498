package retention

import (
	"iter"
	"slices"
)

// settle finds the manifests that go, and decides about the tags that name manifests. What goes has
// nothing that stays among what leads to it:
//
//   - If the last tag of a manifest goes, or an untagged manifest goes, then it may go, and what it
//     names, and its referrers, at any depth.
//   - Every other manifest stays. So does one with a tag that stays, a pinned one, and one that is
//     being pushed.
//   - What one that stays names, its subjects and its referrers stay, at any depth.
//
// It returns the manifests that go, in an order in which each can be deleted when nothing leads to
// it any more. Manifests that lead to each other in a circle have no such order, and stay.
func (e *evaluator) settle() []*node {
	if e.graph == nil {
		for _, t := range e.tags {
			if t.attached && !t.decided {
				t.decide(false, nil, "it belongs to a manifest that stays")
			}
		}
		return nil
	}
	g := e.graph
	for i := range g.nodes {
		g.nodes[i].goes = false
	}
	spread(e.leaving(), g.down, func(n *node) bool {
		was := n.goes
		n.goes = true
		return !was
	})
	var stay []*node
	for i := range g.nodes {
		if n := &g.nodes[i]; !n.goes || n.pinned || n.busy || n.held() {
			stay = append(stay, n)
		}
	}
	g.keep(stay)
	order := g.order()
	for _, t := range e.tags {
		if t.attached && !t.decided {
			e.follow(t)
		}
	}
	return order
}

// leaving returns the manifests whose last tag goes, and the untagged manifests that go.
func (e *evaluator) leaving() []*node {
	var from []*node
	for t := range e.items() {
		if t.node != nil && (t.goes && !t.attached || t.orphaned && !t.decided) {
			from = append(from, t.node)
		}
	}
	return from
}

// held reports whether a tag that stays points at a manifest. A tag that follows another manifest
// does not count: if that one stays, so does this one.
func (n *node) held() bool {
	return slices.ContainsFunc(n.tags, func(t *item) bool {
		if t.attached {
			return t.of == nil && !t.orphaned || t.decided
		}
		return !t.goes
	})
}

// keep marks nodes as staying, and all that must stay with them.
func (g *graph) keep(stay []*node) {
	seen := make(map[*node]bool, len(stay))
	spread(stay, g.needed, func(n *node) bool {
		if seen[n] {
			return false
		}
		seen[n], n.goes = true, false
		return true
	})
}

// order returns the nodes that go, those before which nothing must be deleted first. It lets nodes
// stay that cannot be ordered.
func (g *graph) order() []*node {
	for {
		waits := make([]int, len(g.nodes)) // for that many nodes that go
		var ready, order []*node
		going := 0
		for i := range g.nodes {
			n := &g.nodes[i]
			if !n.goes {
				continue
			}
			going++
			for p := range g.each(n.parents) {
				if p.goes {
					waits[i]++
				}
			}
			if n.own >= 0 && g.nodes[n.own].goes {
				waits[i]++
			}
			if waits[i] == 0 {
				ready = append(ready, n)
			}
		}
		for len(ready) > 0 {
			n := ready[0]
			ready, order = ready[1:], append(order, n)
			for m := range g.freed(n) {
				if waits[m]--; waits[m] == 0 {
					ready = append(ready, &g.nodes[m])
				}
			}
		}
		if len(order) == going {
			return order
		}
		var circle []*node
		for i := range g.nodes {
			if waits[i] > 0 {
				circle = append(circle, &g.nodes[i])
			}
		}
		g.keep(circle)
	}
}

// freed yields the nodes that a delete of n no longer holds up, as indices.
func (g *graph) freed(n *node) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for _, i := range n.children {
			if g.nodes[i].goes && !yield(i) {
				return
			}
		}
		for _, i := range n.referrers {
			r := &g.nodes[i]
			if r.goes && r.own >= 0 && g.nodes[r.own].digest == n.digest && !yield(i) {
				return
			}
		}
	}
}

// follow decides about a tag that names a manifest.
func (e *evaluator) follow(t *item) {
	switch {
	case t.node == nil:
		t.goes, t.why = false, "its manifest is gone"
	case t.orphaned:
		t.goes, t.why = true, "goes with "+string(t.subject)
	case t.of == nil:
		t.goes, t.why = false, "it belongs to a manifest that is not in the repository"
	case t.of.goes:
		t.goes, t.why = true, "goes with "+string(t.of.digest)
	default:
		t.goes, t.why = false, "it belongs to "+string(t.of.digest)
	}
}
