package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
	"unique"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/storage"
)

// maxParsed is the maximum size of the manifests that a Planner remembers, in bytes.
const maxParsed = 64 << 20

// manifestKey identifies a version of the record of a manifest.
type manifestKey struct {
	repo, version string
	digest        digest.Digest
}

// parsed is what a graph needs of a manifest.
type parsed struct {
	state        storage.ManifestState
	marked       bool      // see storage.StoredRecord.Marked
	pushed       time.Time // see storage.StoredRecord.Pushed
	size         int64
	names        []named
	subject      digest.Digest // "" if there is none
	artifactType string
}

// named is a manifest or blob that a manifest names.
type named struct {
	digest digest.Digest
	size   int64
}

// node is a manifest of a repository.
type node struct {
	digest digest.Digest
	*parsed
	time    time.Time // of its record
	version string    // of its record

	tags      []*item // that point at it, in ascending order
	children  []int32 // manifests that it names
	parents   []int32 // manifests that name it
	subjects  []int32 // manifests that it refers to, by its subject or by tags
	referrers []int32 // manifests that refer to it
	blobs     []int32 // what else it names, as indices of graph.blobs
	own       int32   // the subject that it states, or -1

	busy   bool // it is being pushed, or leads to something that is
	pinned bool // it is pinned, or a caller of Restrict lets it stay
	goes   bool // it goes, see evaluator.settle
}

// served reports whether clients can pull the manifest.
func (n *node) served() bool {
	return n.state == storage.ManifestVisible || n.state == storage.ManifestDeleting
}

// isUntagged reports whether nothing leads to the manifest.
func (n *node) isUntagged() bool {
	return n.served() && len(n.tags)+len(n.parents)+len(n.subjects) == 0
}

// graph is what the manifests of a repository name.
type graph struct {
	nodes []node
	index map[digest.Digest]int32
	blobs []int64 // sizes of the blobs; 0 for those that other repositories have, too
}

// find returns the node of a manifest, or nil.
func (g *graph) find(d digest.Digest) *node {
	if i, ok := g.index[d]; ok {
		return &g.nodes[i]
	}
	return nil
}

// ErrDamaged is returned for a repository with a manifest whose record is damaged: what that
// manifest names is not known, and must not be removed. A scrub names and mends such records.
var ErrDamaged = errors.New("retention: the record of a manifest is damaged")

// readGraph reads the manifests of a list, those that are not remembered from an earlier
// evaluation. shared reports whether other repositories have a blob; it may be nil.
func (p *Planner) readGraph(ctx context.Context, repo string, list []storage.StoredManifest,
	shared func(digest.Digest) bool) (*graph, error) {
	found := make([]*parsed, len(list))
	err := parallel.Each(p.opts.Parallel, len(list), func(i int) (err error) {
		found[i], err = p.parsed(ctx, repo, list[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	g := &graph{index: make(map[digest.Digest]int32, len(list))}
	for i, m := range list {
		if found[i].state != storage.ManifestAbsent {
			g.index[m.Digest] = int32(len(g.nodes))
			g.nodes = append(g.nodes, node{digest: m.Digest, parsed: found[i], time: m.Time, version: m.Version, own: -1})
		}
	}
	g.connect(shared)
	return g, nil
}

// parsed returns what a graph needs of a manifest.
//
// Errors: ErrDamaged; any error of the driver.
func (p *Planner) parsed(ctx context.Context, repo string, m storage.StoredManifest) (*parsed, error) {
	key := manifestKey{repo, m.Version, m.Digest}
	if found, ok := p.manifests.Get(key); ok && m.Version != "" {
		return found, nil
	}
	r, err := p.store.Inventory().Record(ctx, repo, m.Digest)
	if err != nil {
		return nil, err
	}
	found := &parsed{state: r.State, marked: r.Marked, pushed: r.Pushed}
	switch {
	case r.State == storage.ManifestDamaged:
		return nil, fmt.Errorf("%w: %s", ErrDamaged, m.Digest)
	case r.Manifest != nil:
		if err := found.read(r); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, m.Digest, err)
		}
	default:
		for _, d := range r.Names {
			found.names = append(found.names, named{digest: d})
		}
	}
	if key.version = r.Version; key.version != "" {
		const overhead, each = 400, 120 // bytes, with the digests
		p.manifests.Add(key, found, overhead+each*len(found.names))
	}
	return found, nil
}

// read reads the content of a manifest.
func (p *parsed) read(r storage.StoredRecord) error {
	doc, err := manifest.ParseStored(r.Manifest.Descriptor.MediaType, r.Manifest.Content)
	if err != nil {
		return err
	}
	p.size = int64(len(r.Manifest.Content))
	p.names = make([]named, len(doc.References))
	for i, ref := range doc.References {
		p.names[i] = named{ref.Digest, ref.Size}
	}
	if doc.Subject != nil {
		p.subject = doc.Subject.Digest
	}
	p.artifactType = unique.Make(doc.ArtifactType).Value()
	return nil
}

// connect finds out what names what.
func (g *graph) connect(shared func(digest.Digest) bool) {
	blobs := map[digest.Digest]int32{}
	for i := range g.nodes {
		n := &g.nodes[i]
		for _, ref := range n.names {
			if child, ok := g.index[ref.digest]; ok {
				if child != int32(i) {
					n.children = append(n.children, child)
					g.nodes[child].parents = append(g.nodes[child].parents, int32(i))
				}
				continue
			}
			b, ok := blobs[ref.digest]
			if !ok {
				size := ref.size
				if shared != nil && shared(ref.digest) {
					size = 0
				}
				b = int32(len(g.blobs))
				blobs[ref.digest], g.blobs = b, append(g.blobs, size)
			}
			n.blobs = append(n.blobs, b)
		}
		if s, ok := g.index[n.subject]; ok && s != int32(i) {
			n.own = s
			g.refer(int32(i), s)
		}
	}
}

// refer makes a node a referrer of another one.
func (g *graph) refer(i, subject int32) {
	g.nodes[i].subjects = append(g.nodes[i].subjects, subject)
	g.nodes[subject].referrers = append(g.nodes[subject].referrers, i)
}

// point makes the tags known to the nodes that they point at. A tag that names a manifest makes
// what it points at a referrer of that manifest.
func (g *graph) point(tags []*item) {
	cut := map[string]int32{} // tags of digests that are too long
	for i := range g.nodes {
		if d := g.nodes[i].digest; d.Algorithm() != digest.SHA256 {
			cut[subjecttag.Of(d)] = int32(i)
		}
	}
	for _, t := range tags {
		i, ok := g.index[t.digest]
		if !ok || !g.nodes[i].served() {
			continue
		}
		t.node = &g.nodes[i]
		t.node.tags = append(t.node.tags, t)
		if !t.attached {
			continue
		}
		s, ok := g.index[t.subject]
		if t.subject == "" {
			s, ok = cut[t.tag]
		}
		if !ok || s == i {
			continue
		}
		if t.of = &g.nodes[s]; g.nodes[i].own != s {
			g.refer(i, s)
		}
	}
}

// down yields what must go if a node goes: what it names, and its referrers.
func (g *graph) down(n *node) iter.Seq[*node] { return g.each(n.children, n.referrers) }

// up yields what leads to a node in the sense of down.
func (g *graph) up(n *node) iter.Seq[*node] { return g.each(n.parents, n.subjects) }

// needed yields what must stay if a node stays: what it names, its subjects and its referrers.
func (g *graph) needed(n *node) iter.Seq[*node] { return g.each(n.children, n.subjects, n.referrers) }

func (g *graph) each(lists ...[]int32) iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for _, list := range lists {
			for _, i := range list {
				if !yield(&g.nodes[i]) {
					return
				}
			}
		}
	}
}

// spread calls visit for each node that next leads to from the starting nodes, and for these. visit
// returns false for a node that was visited before.
func spread(from []*node, next func(*node) iter.Seq[*node], visit func(*node) bool) {
	stack := slices.Clone(from)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !visit(n) {
			continue
		}
		for m := range next(n) {
			stack = append(stack, m)
		}
	}
}
