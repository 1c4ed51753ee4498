package replicate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/platform"
	"github.com/registrykit/registry/reference"
)

// Limits of a graph. A hostile source can make it as large as they allow.
const (
	maxDepth      = 16
	maxReferences = 200_000
	maxContent    = 32 << 20 // bytes of manifests that are kept in memory
)

// node is a manifest of the graph.
type node struct {
	desc   ocispec.Descriptor
	parent digest.Digest // the manifest that first led here, "" for the root
	// optional is set as long as only the source's lists lead here, and no manifest that is copied.
	optional bool
	tags     []string // cosign's tags

	content  []byte // nil if it was not kept, or not read
	err      error  // why the manifest was not read
	subject  *ocispec.Descriptor
	children []*node // what must be at the destination before it
	sparse   bool    // whether something below it is left out
	again    atomic.Bool
}

// blob is a blob of the graph.
type blob struct {
	desc    ocispec.Descriptor
	parent  digest.Digest
	counted int64 // bytes in Progress.Bytes; guarded by the tracker
}

// link leads from a manifest to what belongs to it.
type link struct {
	desc   ocispec.Descriptor
	isBlob bool
	child  bool   // the manifest names it
	tag    string // a tag of cosign, for what belongs to a manifest by its tag
}

// graph is what belongs to an image in a repository.
type graph struct {
	from      registry.Backend
	repo      string
	platforms []platform.Platform
	referrers bool
	width     int  // requests at a time
	retries   int  // of each request
	lenient   bool // errors are kept in the nodes
	progress  *tracker

	root    *node
	nodes   map[digest.Digest]*node
	order   []*node // the nodes as they were found
	blobs   []*blob
	isBlob  map[digest.Digest]bool
	links   int   // in all
	content int64 // bytes that are kept

	mu     sync.Mutex // guards what follows, which the visits of one level share
	seen   platformsSeen
	tagged []referrersTag
}

// load reads the manifest that ref names, and everything that belongs to it except for the blobs.
func (g *graph) load(ctx context.Context, ref reference.Ref) error {
	g.nodes, g.isBlob = map[digest.Digest]*node{}, map[digest.Digest]bool{}
	m, err := g.get(ctx, ref)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", ref, err)
	}
	g.root = &node{desc: m.Descriptor, content: m.Content}
	g.nodes[g.root.desc.Digest] = g.root
	g.order = append(g.order, g.root)
	g.progress.found(1, 0, 0)
	level := []*node{g.root}
	for depth := 0; len(level) > 0; depth++ {
		if depth >= maxDepth {
			return fmt.Errorf("manifest %s: more than %d manifests lead to each other", level[0].desc.Digest, maxDepth)
		}
		found := make([][]link, len(level))
		err := parallel.Each(g.width, len(level), func(i int) (err error) {
			found[i], err = g.visit(ctx, level[i])
			return err
		})
		if err != nil {
			return err
		}
		if level, err = g.merge(level, found); err != nil {
			return err
		}
	}
	if err := g.missing(); err != nil {
		return err
	}
	return g.seen.check(g.platforms)
}

// missing returns an error for a manifest that was only optional when it was found missing.
func (g *graph) missing() error {
	for _, n := range g.order {
		if n.err != nil && !n.optional && !g.lenient {
			return n.failure(n.err)
		}
	}
	return nil
}

// failure returns an error that names the manifest.
func (n *node) failure(err error) error {
	if n.parent == "" {
		return fmt.Errorf("manifest %s: %w", n.desc.Digest, err)
	}
	return fmt.Errorf("manifest %s, named by %s: %w", n.desc.Digest, n.parent, err)
}

// failure returns an error that names the blob.
func (b *blob) failure(err error) error {
	return fmt.Errorf("blob %s, named by %s: %w", b.desc.Digest, b.parent, err)
}

// merge adds what was found in the nodes of a level to the graph. It returns the next level.
func (g *graph) merge(level []*node, found [][]link) ([]*node, error) {
	var next []*node
	manifests, blobs, bytes := 0, 0, int64(0)
	for i, n := range level {
		if g.links += len(found[i]); g.links > maxReferences {
			return nil, fmt.Errorf("manifest %s: the image has more than %d references", g.root.desc.Digest, maxReferences)
		}
		if g.content += int64(len(n.content)); g.content > maxContent {
			g.content -= int64(len(n.content))
			n.content = nil
		}
		for _, l := range found[i] {
			if l.isBlob {
				if !g.isBlob[l.desc.Digest] {
					g.isBlob[l.desc.Digest] = true
					g.blobs = append(g.blobs, &blob{desc: l.desc, parent: n.desc.Digest})
					blobs++
					bytes += l.desc.Size
				}
				continue
			}
			to := g.nodes[l.desc.Digest]
			if to == nil {
				to = &node{desc: l.desc, parent: n.desc.Digest, optional: true}
				g.nodes[l.desc.Digest] = to
				g.order = append(g.order, to)
				next = append(next, to)
				manifests++
			}
			if l.child {
				to.optional = false
				n.children = append(n.children, to)
			}
			if l.tag != "" {
				to.tags = append(to.tags, l.tag)
			}
		}
	}
	g.progress.found(manifests, blobs, bytes)
	return next, nil
}

// get reads a manifest.
func (g *graph) get(ctx context.Context, ref reference.Ref) (*registry.Manifest, error) {
	var m *registry.Manifest
	err := retry(ctx, g.retries, func() (err error) {
		m, err = g.from.GetManifest(ctx, g.repo, ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	d := m.Descriptor.Digest
	if err := registry.CheckDigest(d); err != nil {
		return nil, err
	}
	if ref.Digest != "" && d != ref.Digest || d.Algorithm().FromBytes(m.Content) != d {
		return nil, errors.New("the content of the manifest does not have its digest")
	}
	return m, nil
}

// visit reads a manifest and returns what belongs to it. It changes n, and nothing else that other
// visits use without g.mu.
func (g *graph) visit(ctx context.Context, n *node) ([]link, error) {
	links, err := g.read(ctx, n)
	if err != nil {
		gone := errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, registry.ErrNameUnknown)
		if ctx.Err() != nil || !g.lenient && !(n.optional && gone) {
			return nil, n.failure(err)
		}
		n.err = err
		return nil, nil
	}
	if !g.referrers {
		return links, nil
	}
	more, err := g.attached(ctx, n)
	if err != nil {
		err = fmt.Errorf("looking for referrers: %w", err)
		if ctx.Err() != nil || !g.lenient {
			return nil, n.failure(err)
		}
		n.err = err
	}
	return append(links, more...), nil
}
