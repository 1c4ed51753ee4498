package retention

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/subjecttag"
)

// intent is what a plan lets go in one repository. An evaluation with an intent continues the
// application of the plan, which may have been interrupted anywhere: it decides as if what is gone of
// the intent were still there.
//
//   - A tag that is gone takes part in the evaluation, and so does its manifest. It cannot go again.
//   - A manifest that was to go with a tag or manifest goes also if nothing leads to it any more, because
//     that tag or manifest has gone.
//   - So does what a tag of the referrers tag schema points at, if the manifest is gone that the tag names.
//
// Whatever leads to such a manifest from elsewhere keeps it, as in any evaluation.
type intent struct {
	lines     []Line // in the order of the plan
	tags      map[string]Line
	manifests map[digest.Digest]Line
	subjects  map[string]digest.Digest // of the manifests, by their tag of the referrers tag schema
}

// newIntent returns the intent of the lines of one repository.
func newIntent(lines []Line) *intent {
	w := &intent{tags: map[string]Line{}, manifests: map[digest.Digest]Line{}, subjects: map[string]digest.Digest{}}
	for _, l := range lines {
		switch {
		case l.Decision != Goes:
			continue
		case l.Tag != "":
			w.tags[l.Tag] = l
		default:
			w.manifests[l.Digest] = l
			w.subjects[subjecttag.Of(l.Digest)] = l.Digest
		}
		w.lines = append(w.lines, l)
	}
	return w
}

// has reports whether the plan lets go what a line of a new evaluation is about, and it is as the plan
// says.
func (w *intent) has(l Line) bool {
	if l.Tag == "" {
		_, ok := w.manifests[l.Digest]
		return ok
	}
	in, ok := w.tags[l.Tag]
	return ok && in.Digest == l.Digest && in.Set.Equal(l.Set)
}

// goesWith is how the reason begins of what goes with something else.
const goesWith = "goes with "

// continues reports whether the plan lets a manifest go together with something else.
func (w *intent) continues(n *node) bool {
	if w == nil {
		return false
	}
	l, ok := w.manifests[n.digest]
	return ok && strings.HasPrefix(l.Why, goesWith)
}

// addRemoved adds the tags of the intent that are gone.
func (e *evaluator) addRemoved() {
	if e.intent == nil {
		return
	}
	there := make(map[string]bool, len(e.tags))
	for _, t := range e.tags {
		there[t.tag] = true
	}
	for _, l := range e.intent.lines {
		if l.Tag == "" || there[l.Tag] {
			continue
		}
		there[l.Tag] = true
		i := &item{tag: l.Tag, digest: l.Digest, set: l.Set, removed: true}
		i.subject, _, i.attached = subjecttag.Parse(l.Tag)
		e.tags = append(e.tags, i)
	}
	slices.SortFunc(e.tags, func(a, b *item) int { return cmp.Compare(a.tag, b.tag) })
}

// findOrphaned finds the tags of the referrers tag schema whose manifest is gone and was to go.
func (e *evaluator) findOrphaned() {
	if e.intent == nil {
		return
	}
	for _, t := range e.tags {
		if !t.attached || t.of != nil {
			continue
		}
		base, _, _ := strings.Cut(t.tag, ".")
		if d, ok := e.intent.subjects[base]; ok && e.graph.find(d) == nil {
			t.orphaned, t.subject = true, d
		}
	}
}

// resume lets those manifests of the intent go to which nothing leads any more.
func (e *evaluator) resume(ctx context.Context) error {
	if e.intent == nil {
		return nil
	}
	if err := e.needGraph(ctx); err != nil {
		return err
	}
	for i := range e.graph.nodes {
		n := &e.graph.nodes[i]
		if n.isUntagged() && e.intent.continues(n) {
			t := &item{digest: n.digest, node: n}
			t.decide(true, nil, e.intent.manifests[n.digest].Why)
			e.untagged = append(e.untagged, t)
		}
	}
	return nil
}
