package retention

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"
)

// Evaluation is what rules decide about one repository.
type Evaluation struct {
	// Repository is the repository.
	Repository string
	// Lines are the decisions: one for each tag, in ascending order; then one for each manifest
	// that goes, and one for each untagged manifest that stays if a rule is about untagged
	// manifests, in ascending order of the digests. No manifest that stays depends on one that
	// goes.
	Lines []Line
	// Delete lists the manifests that go, in an order in which each can be deleted with
	// registry.DeleteOptions.IfUnused, once all tags are gone that go: an index comes before what
	// it names, and a subject before its referrers.
	Delete []digest.Digest
	// Untagged is the number of untagged manifests that rules have decided about.
	Untagged int

	from *evaluator
}

// Restrict lets only those tags and manifests go for which goes returns true. It is called for each
// line whose decision is Goes, and decides again about what depends on those that stay now. Apply
// restricts an evaluation to what the plan contains.
func (e *Evaluation) Restrict(goes func(Line) bool) {
	const why = "the plan does not let it go"
	tags, untagged := map[string]*item{}, map[digest.Digest]*item{}
	for _, t := range e.from.tags {
		tags[t.tag] = t
	}
	for _, t := range e.from.untagged {
		untagged[t.digest] = t
	}
	for _, l := range e.Lines {
		if l.Decision != Goes || goes(l) {
			continue
		}
		switch t := tags[l.Tag]; {
		case l.Tag != "" && t.attached:
			t.decide(false, nil, why)
		case l.Tag != "":
			t.spare(why)
		default:
			e.from.graph.find(l.Digest).pinned = true
			if t := untagged[l.Digest]; t != nil {
				t.spare(why)
			}
		}
	}
	*e = *e.from.result()
}

// result settles what goes, and returns the decisions.
func (e *evaluator) result() *Evaluation {
	order := e.settle()
	result := &Evaluation{Repository: e.repo, Untagged: len(e.untagged), from: e, Lines: make([]Line, 0, len(e.tags))}
	frees := e.claim()
	for _, t := range e.tags {
		l := t.line(e.repo)
		if l.Bytes = frees.bytes[t]; t.goes && t.node != nil && !t.node.goes {
			l.Why = "the manifest stays"
		}
		result.Lines = append(result.Lines, l)
	}
	var manifests []Line
	for _, n := range order {
		result.Delete = append(result.Delete, n.digest)
		by := frees.by[n]
		if by.tag == "" && by.node == n {
			continue // below
		}
		l := Line{Repository: e.repo, Digest: n.digest, Decision: Goes, Why: goesWith + cmp.Or(by.tag, string(by.digest))}
		if by.rule != nil {
			l.Rule = by.rule.name
		}
		manifests = append(manifests, l)
	}
	for _, t := range e.untagged {
		if t.goes && !t.node.goes {
			t.spare("a manifest that stays needs it")
		}
		l := t.line(e.repo)
		l.Bytes = frees.bytes[t]
		manifests = append(manifests, l)
	}
	slices.SortFunc(manifests, func(a, b Line) int { return cmp.Compare(a.Digest, b.Digest) })
	result.Lines = append(result.Lines, manifests...)
	return result
}

// line returns the line about an item.
func (t *item) line(repo string) Line {
	l := Line{Repository: repo, Tag: t.tag, Digest: t.digest, Set: t.set.UTC(), Decision: Stays, Why: t.why}
	if t.goes {
		l.Decision = Goes
	}
	if t.rule != nil {
		l.Rule = t.rule.name
	}
	if t.rule == nil && t.why == "" {
		l.Why = "no rule covers it"
	}
	return l
}

// claims says what frees what.
type claims struct {
	by    map[*node]*item // the first tag or untagged manifest with which a manifest goes
	bytes map[*item]int64 // what goes with it
}

// claim divides what goes among the tags and untagged manifests that go: each has what the ones
// before it do not have.
func (e *evaluator) claim() claims {
	c := claims{by: map[*node]*item{}, bytes: map[*item]int64{}}
	if e.graph == nil {
		return c
	}
	g := e.graph
	needed := make([]bool, len(g.blobs))
	for i := range g.nodes {
		if n := &g.nodes[i]; !n.goes {
			for _, b := range n.blobs {
				needed[b] = true
			}
		}
	}
	for t := range e.items() {
		if !t.goes || t.node == nil || t.attached && !t.orphaned {
			continue
		}
		spread([]*node{t.node}, g.down, func(n *node) bool {
			if !n.goes || c.by[n] != nil {
				return false
			}
			c.by[n] = t
			c.bytes[t] += n.size
			for _, b := range n.blobs {
				if !needed[b] {
					needed[b] = true
					c.bytes[t] += g.blobs[b]
				}
			}
			return true
		})
	}
	return c
}
