package retention

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/storage"
)

// TestSettleProperties: on random graphs, nothing goes that something needs which stays; everything
// goes that only leads from what goes; and the order of deletion respects what leads to what.
func TestSettleProperties(t *testing.T) {
	rounds := 5_000
	if testing.Short() {
		rounds = 500
	}
	removed, circles := 0, 0
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		e := randomEvaluator(r)
		result := e.result()
		checkResult(t, seed, e, result)
		removed += len(result.Delete)
		for _, n := range e.graph.nodes {
			if !n.goes && !n.busy && !n.pinned && len(n.tags) > 0 && n.tags[0].goes {
				circles++
			}
		}
		result.Restrict(func(Line) bool { return r.IntN(3) > 0 })
		checkResult(t, seed, e, result)
	}
	require.Greater(t, removed, rounds/2, "the graphs must be such that something goes")
	require.Positive(t, circles)
}

// randomEvaluator returns an evaluator after the rules and protections have decided at random.
func randomEvaluator(r *rand.Rand) *evaluator {
	n := 1 + r.IntN(12)
	g := &graph{index: map[digest.Digest]int32{}}
	names := make([]digest.Digest, n)
	for i := range names {
		names[i] = digest.FromString(fmt.Sprint(i))
	}
	some := func() digest.Digest { return names[r.IntN(n)] }
	for i := range n {
		p := &parsed{state: storage.ManifestVisible, size: 100}
		for range r.IntN(4) {
			if r.IntN(2) == 0 && r.IntN(20) > 0 {
				p.names = append(p.names, named{names[r.IntN(i+1)], 1}) // mostly without circles
			} else {
				p.names = append(p.names, named{digest.FromString(fmt.Sprint("blob", r.IntN(5))), 10})
			}
		}
		p.names = once(p.names)
		if r.IntN(4) == 0 {
			p.subject = some()
		}
		if r.IntN(20) == 0 {
			p.state = storage.ManifestPending
		}
		g.index[names[i]] = int32(i)
		g.nodes = append(g.nodes, node{digest: names[i], parsed: p, own: -1, pinned: r.IntN(20) == 0})
	}
	g.connect(nil)
	e := &evaluator{p: &Planner{}, repo: "app", graph: g}
	for i := range r.IntN(2 * n) {
		e.tags = append(e.tags, &item{tag: fmt.Sprintf("t%02d", i), digest: some(), goes: r.IntN(3) > 0})
	}
	for i := range r.IntN(n) {
		e.tags = append(e.tags, &item{
			tag: fmt.Sprint(subjecttag.Of(names[i]), ".x", i), digest: some(), attached: true, subject: names[i],
			decided: r.IntN(20) == 0,
		})
	}
	g.point(e.tags)
	for i := range g.nodes {
		if n := &g.nodes[i]; n.served() && len(n.tags)+len(n.parents)+len(n.subjects) == 0 {
			e.untagged = append(e.untagged, &item{digest: n.digest, node: n, goes: r.IntN(2) > 0})
		}
	}
	e.markBusy()
	for t := range e.items() {
		if t.node == nil || t.node.busy {
			t.goes = false
		}
	}
	return e
}

func once(all []named) (list []named) {
	seen := map[digest.Digest]bool{}
	for _, n := range all {
		if !seen[n.digest] {
			seen[n.digest] = true
			list = append(list, n)
		}
	}
	return list
}

// checkResult checks an evaluation against the definition, with code of its own.
func checkResult(t *testing.T, seed int, e *evaluator, result *Evaluation) {
	t.Helper()
	goes := map[digest.Digest]bool{}
	for _, d := range result.Delete {
		require.False(t, goes[d], seed)
		goes[d] = true
	}
	tagGoes := map[string]bool{}
	var bytes, sizes int64
	lines := map[digest.Digest]bool{}
	for _, l := range result.Lines {
		bytes += l.Bytes
		if l.Tag != "" {
			tagGoes[l.Tag] = l.Decision == Goes
		} else if l.Decision == Goes {
			lines[l.Digest] = true
		}
	}
	require.Equal(t, goes, lines, "seed %d: each manifest that goes has a line", seed)
	needed, freed := map[digest.Digest]bool{}, map[digest.Digest]bool{}
	for _, n := range e.graph.nodes {
		for _, ref := range n.names {
			if _, manifest := e.graph.index[ref.digest]; manifest {
				require.False(t, !goes[n.digest] && goes[ref.digest], "seed %d: a child of what stays", seed)
			} else if goes[n.digest] {
				freed[ref.digest] = true
			} else {
				needed[ref.digest] = true
			}
		}
		if s := e.graph.find(n.subject); s != nil {
			require.False(t, !goes[n.digest] && goes[s.digest], "seed %d: the subject of what stays", seed)
			if goes[n.digest] && !goes[s.digest] {
				require.Fail(t, "a referrer of what stays", "seed %d", seed)
			}
		}
		require.False(t, goes[n.digest] && (n.pinned || !n.served()), "seed %d: pinned or pushed", seed)
		if goes[n.digest] {
			sizes += n.size
		}
	}
	for d := range freed {
		if !needed[d] {
			sizes += 10
		}
	}
	require.Equal(t, sizes, bytes, "seed %d", seed)
	for _, tag := range e.tags {
		if tag.node == nil {
			require.False(t, tagGoes[tag.tag], seed)
			continue
		}
		require.False(t, goes[tag.digest] && !tagGoes[tag.tag], "seed %d: the manifest of a tag that stays", seed)
		if s := e.graph.find(tag.subject); tag.attached && s != nil && s != tag.node {
			require.False(t, tagGoes[tag.tag] && !goes[s.digest], "seed %d: a tag of what stays", seed)
			require.False(t, !tagGoes[tag.tag] && goes[s.digest], "seed %d: a tag of what goes", seed)
		}
	}
	checkOrder(t, seed, e, result, goes)
}

// checkOrder checks that each manifest can be deleted when its turn comes.
func checkOrder(t *testing.T, seed int, e *evaluator, result *Evaluation, goes map[digest.Digest]bool) {
	t.Helper()
	there := map[digest.Digest]bool{}
	for _, n := range e.graph.nodes {
		there[n.digest] = true
	}
	for _, d := range result.Delete {
		for _, n := range e.graph.nodes {
			for _, ref := range n.names {
				require.False(t, ref.digest == d && n.digest != d && there[n.digest], "seed %d: something names it", seed)
			}
		}
		if s := e.graph.find(d).subject; s != d {
			require.False(t, there[s], "seed %d: its subject is there", seed)
		}
		there[d] = false
	}
	require.Len(t, result.Delete, len(goes))
}

// TestWhyIsStated: every line that stays says why.
func TestWhyIsStated(t *testing.T) {
	for seed := range 500 {
		e := randomEvaluator(rand.New(rand.NewPCG(uint64(seed), 2)))
		for _, l := range e.result().Lines {
			if l.Decision == Stays {
				require.NotEmpty(t, l.Why)
			}
			require.False(t, strings.HasSuffix(l.Why, " "))
		}
	}
}
