package evict

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
	"unique"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/pinkey"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/storage"
)

const (
	// readAtOnce is the number of manifests or links that are read at the same time.
	readAtOnce = 16
	// samePull is the time after the pull of a tag or index within which a pull of its child is part
	// of the same use.
	samePull = time.Hour
)

// node is a manifest of a repository.
type node struct {
	digest   name
	manifest *parsed
	fetched  time.Time
	pulled   time.Time // the last pull of the digest or, for a tagged manifest, of a tag; zero if none is known
	tags     []string
	subject  *node   // the manifest that it belongs to as a referrer, if that is there
	children []*node // what it names, and its referrers
	named    bool    // another manifest names it
	blobs    []name  // the blobs that it names and the repository has

	unit *unit
	kept bool // it must not be evicted; nor is what it reaches
}

// unit is a root with what it reaches, except for what a unit reaches that was used later.
type unit struct {
	root  *node
	used  time.Time
	nodes []*node
}

// graph is what a repository has.
type graph struct {
	repo  string
	nodes map[name]*node
	links map[name]storedLink
	tags  map[string]bool
	times *pulltime.Times
	units []*unit // those used last come first
}

// storedLink is a link with its time.
type storedLink struct {
	link
	fetched time.Time
}

// graph reads what a repository has, and divides it into units.
func (e *Evictor) graph(ctx context.Context, repo string) (*graph, error) {
	g, err := e.readGraph(ctx, repo)
	if err == nil {
		e.cache.remember(g)
		g.connect()
		g.divide()
		err = e.keep(ctx, g)
	}
	if err != nil {
		return nil, fmt.Errorf("evict: looking into %s: %w", repo, err)
	}
	return g, nil
}

// readGraph reads what a repository has.
func (e *Evictor) readGraph(ctx context.Context, repo string) (*graph, error) {
	g := &graph{repo: repo, nodes: map[name]*node{}, links: map[name]storedLink{}, tags: map[string]bool{}}
	var err error
	if e.pulls != nil {
		if g.times, err = e.pulls.Read(ctx, repo); err != nil {
			return nil, err
		}
	}
	// Manifests come before links: a blob whose manifest comes in between is not needed yet, and
	// too young to be collected.
	if err := e.readManifests(ctx, g); err != nil {
		return nil, err
	}
	if err := e.readLinks(ctx, g); err != nil {
		return nil, err
	}
	for t, err := range e.store.Inventory().Tags(ctx, repo) {
		if err != nil {
			return nil, err
		}
		g.tags[t.Name] = true
		if n := g.nodes[unique.Make(t.Descriptor.Digest)]; n != nil {
			n.tags = append(n.tags, t.Name)
		}
	}
	return g, nil
}

// readManifests reads the manifests that are not in the cache.
func (e *Evictor) readManifests(ctx context.Context, g *graph) error {
	read := func(batch []storage.StoredManifest) error {
		found := make([]*parsed, len(batch))
		err := parallel.Each(readAtOnce, len(batch), func(i int) (err error) {
			m := batch[i]
			if found[i] = e.cache.manifest(g.repo, unique.Make(m.Digest), m.Version); found[i] == nil {
				found[i], err = e.readManifest(ctx, g.repo, m)
			}
			return err
		})
		for i, m := range batch {
			if n := unique.Make(m.Digest); err == nil && found[i] != nil {
				at, _ := g.times.Digest(m.Digest)
				g.nodes[n] = &node{digest: n, manifest: found[i], fetched: m.Time, pulled: at}
			}
		}
		return err
	}
	return inBatches(e.store.Inventory().Manifests(ctx, g.repo), read)
}

// readLinks reads the links that are not in the cache.
func (e *Evictor) readLinks(ctx context.Context, g *graph) error {
	read := func(batch []storage.StoredLink) error {
		found := make([]link, len(batch))
		there := make([]bool, len(batch))
		err := parallel.Each(readAtOnce, len(batch), func(i int) (err error) {
			b := batch[i]
			if found[i], there[i] = e.cache.link(g.repo, unique.Make(b.Digest), b.Version); !there[i] {
				found[i], there[i], err = e.readLink(ctx, g.repo, b)
			}
			return err
		})
		for i, b := range batch {
			if n := unique.Make(b.Digest); err == nil && there[i] {
				g.links[n] = storedLink{found[i], b.Time}
			}
		}
		return err
	}
	return inBatches(e.store.Inventory().Blobs(ctx, g.repo), read)
}

// remember puts what was read into the cache.
func (c *cache) remember(g *graph) {
	all := contents{make(map[name]*parsed, len(g.nodes)), make(map[name]link, len(g.links))}
	for n, node := range g.nodes {
		all.manifests[n] = node.manifest
	}
	for n, l := range g.links {
		all.links[n] = l.link
	}
	c.repos[g.repo] = all
}

// connect finds out what reaches what.
func (g *graph) connect() {
	for _, n := range g.nodes {
		for _, ref := range n.manifest.refs {
			if child := g.nodes[ref]; child != nil && child != n {
				child.named = true
				n.children = append(n.children, child)
			} else if _, ok := g.links[ref]; ok {
				n.blobs = append(n.blobs, ref)
			}
		}
	}
	for _, n := range g.nodes {
		var zero name
		if n.manifest.subject != zero {
			n.refersTo(g.nodes[n.manifest.subject])
		}
		var own []string
		for _, tag := range n.tags {
			d, _, _ := subjecttag.Parse(tag)
			if subject := g.nodes[unique.Make(d)]; subject != nil && subject != n {
				n.refersTo(subject)
				continue
			}
			own = append(own, tag)
			if at, ok := g.times.Tag(tag); ok && at.After(n.pulled) {
				n.pulled = at
			}
		}
		if n.subject != nil && len(own) == 0 {
			n.pulled = time.Time{} // a referrer is used as its subject is
		}
		n.named = n.named && len(own) == 0
		if len(own) > 0 {
			n.subject = nil
		}
	}
	for _, n := range g.nodes {
		slices.SortFunc(n.children, func(a, b *node) int { return cmp.Compare(a.digest.Value(), b.digest.Value()) })
	}
}

// refersTo makes n a referrer of subject, which may be nil.
func (n *node) refersTo(subject *node) {
	if subject != nil && subject != n {
		n.subject = subject
		subject.children = append(subject.children, n)
	}
}

// root reports whether n is the root of a unit whatever the pulls are.
func (n *node) root() bool { return !n.named && n.subject == nil }

// divide divides the manifests into units. A child that was pulled after its index, on its own, is
// a unit of its own.
func (g *graph) divide() {
	for _, n := range g.nodes {
		if n.manifest.deleting {
			// A run has died while it deleted this one. It goes first, so that no other goes in its place.
			n.fetched, n.pulled = time.Time{}, time.Time{}
		}
		if n.root() || !n.pulled.IsZero() {
			g.units = append(g.units, &unit{root: n, used: g.used(n)})
		}
	}
	slices.SortFunc(g.units, func(a, b *unit) int {
		roots := cmp.Compare(rank(a.root), rank(b.root))
		return cmp.Or(-a.used.Compare(b.used), roots, cmp.Compare(a.root.digest.Value(), b.root.digest.Value()))
	})
	for _, u := range g.units {
		u.claim(u.root)
	}
	// Manifests that nothing has claimed form a cycle of tags that name each other. Each is a unit.
	for _, n := range g.nodes {
		if n.unit == nil {
			u := &unit{root: n, used: g.used(n)}
			g.units = append(g.units, u)
			u.claim(n)
		}
	}
	g.units = slices.DeleteFunc(g.units, func(u *unit) bool { return len(u.nodes) == 0 })
}

// rank sorts roots before their children.
func rank(n *node) int {
	if n.root() {
		return 0
	}
	return 1
}

// claim adds a manifest and what it reaches to the unit, except for what a unit has already.
func (u *unit) claim(n *node) {
	for level := []*node{n}; len(level) > 0; {
		var next []*node
		for _, n := range level {
			if n.unit == nil {
				n.unit = u
				u.nodes = append(u.nodes, n)
				next = append(next, n.children...)
			}
		}
		level = next
	}
}

// used returns the last use of a unit with the root n.
func (g *graph) used(n *node) time.Time {
	used := n.pulled
	if !n.root() || n.manifest.deleting {
		return used
	}
	if used.IsZero() {
		used = g.times.Rest()
	}
	if n.fetched.After(used) {
		used = n.fetched
	}
	// The children of an index are pulled after it.
	limit := used.Add(samePull)
	for child := range n.reached() {
		if child.pulled.After(used) && child.pulled.Before(limit) {
			used = child.pulled
		}
	}
	return used
}

// reached yields n and what it reaches.
func (n *node) reached() map[*node]bool {
	seen := map[*node]bool{n: true}
	for level := []*node{n}; len(level) > 0; {
		var next []*node
		for _, n := range level {
			for _, child := range n.children {
				if !seen[child] {
					seen[child] = true
					next = append(next, child)
				}
			}
		}
		level = next
	}
	return seen
}

// keep marks what must not be evicted: what pins reach, what is being read, and what was used
// within Options.MinAge.
func (e *Evictor) keep(ctx context.Context, g *graph) error {
	for p, err := range e.pins(ctx, pinkey.Of(g.repo), "") {
		if err != nil {
			return err
		}
		for _, n := range g.nodes {
			if n.digest.Value() == p.Ref.Digest || p.Ref.Tag != "" && slices.Contains(n.tags, p.Ref.Tag) {
				n.keep()
			}
		}
	}
	since := time.Now().Add(-max(e.opts.MinAge, 0))
	recent := func(t time.Time) bool { return e.opts.MinAge > 0 && t.After(since) }
	inUse := func(d digest.Digest) bool {
		at, _ := g.times.Digest(d)
		return recent(at) || e.reading.has(g.repo, d)
	}
	held := map[name]bool{} // blobs that a manifest holds that was used later
	for _, u := range g.units {
		for _, n := range u.nodes {
			busy := recent(n.fetched) || recent(n.pulled) || recent(u.used) || inUse(n.digest.Value())
			for _, b := range n.blobs {
				// Many images share a layer. The one that was used last is enough to keep it.
				busy = busy || !held[b] && (recent(g.links[b].fetched) || inUse(b.Value()))
				held[b] = true
			}
			if busy {
				n.keep()
				u.root.keep()
			}
		}
	}
	return nil
}

// keep marks n and what it reaches.
func (n *node) keep() {
	if n.kept {
		return // and so is what it reaches
	}
	for r := range n.reached() {
		r.kept = true
	}
}
