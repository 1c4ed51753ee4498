package usage

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"
)

// tree has a node for each prefix of the names of repositories, and adds up the figures of all of them
// in one pass over the repositories.
//
// The nodes are in preorder: a node comes before those below it, and these follow without a gap. The
// repositories are folded in this order. A blob that several repositories have is added at each of them
// and taken away again at the lowest node above both this repository and the last one before it that
// has the blob. So the sum of a node and all nodes below it counts the blob once, for every node.
type tree struct {
	nodes []node
	leafs []int32 // nodes of the repositories, in their order

	seed maphash.Seed
	last map[uint64]int32 // by hash of a blob or manifest, the last repository that has it
	data map[uint64]where // by hash of the names of data objects
	// referenced is the size of the data objects so far.
	referenced int64
}

type node struct {
	name   string
	parent int32
	// own is the node of the repository of this name, if there are repositories below the name as well;
	// the figures of that repository alone are there. Otherwise own is zero.
	own     int32
	leaf    bool // it is the node of a repository
	figures Figures
}

// where says which repositories have a piece of data: the last one, and the lowest node above all.
type where struct{ last, above int32 }

// compareNames orders names so that those below a name follow it: "/" comes before all other characters.
func compareNames(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			switch {
			case a[i] == '/':
				return -1
			case b[i] == '/':
				return 1
			}
			return cmp.Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b))
}

// below reports whether name is below prefix.
func below(name, prefix string) bool {
	return prefix == "" || len(name) > len(prefix) && name[len(prefix)] == '/' && strings.HasPrefix(name, prefix)
}

// newTree returns a tree of repositories, whose names are in the order of compareNames.
func newTree(names []string) *tree {
	t := &tree{
		nodes: make([]node, 1, 1+len(names)+len(names)/8), leafs: make([]int32, 0, len(names)),
		seed: maphash.MakeSeed(), last: map[uint64]int32{}, data: map[uint64]where{},
	}
	at := int32(0) // the node below which the next one is
	for i, name := range names {
		for at != 0 && !below(name, t.nodes[at].name) {
			at = t.nodes[at].parent
		}
		for end := 0; end < len(name); {
			end++
			if end < len(name) && name[end] != '/' || end <= len(t.nodes[at].name) {
				continue
			}
			at = t.add(name[:end], at)
		}
		leaf := at
		if i+1 < len(names) && below(names[i+1], name) {
			leaf = t.add(name, at)
			t.nodes[at].own = leaf
		}
		t.nodes[leaf].leaf = true
		t.leafs = append(t.leafs, leaf)
	}
	return t
}

func (t *tree) add(name string, parent int32) int32 {
	t.nodes = append(t.nodes, node{name: name, parent: parent})
	return int32(len(t.nodes) - 1)
}

// common returns the lowest node that is above both nodes or one of them.
func (t *tree) common(a, b int32) int32 {
	for a != b {
		if a > b { // in preorder, this one is not above the other
			a = t.nodes[a].parent
		} else {
			b = t.nodes[b].parent
		}
	}
	return a
}

// fold adds a repository. Repositories are folded in their order.
func (t *tree) fold(repository int, content *table, tags int64) {
	leaf := t.leafs[repository]
	f := &t.nodes[leaf].figures
	f.Tags = tags
	for i := range content.blobs {
		if e := &content.blobs[i]; e.visible() {
			f.Blobs++
			if above, again := t.seen('b', e.key, leaf); again {
				above.Blobs--
				above.Logical -= e.size
			}
			t.addSize(leaf, e.size)
			t.addData(leaf, e)
		}
	}
	for i := range content.manifests {
		if e := &content.manifests[i]; e.visible() {
			f.Manifests++
			if above, again := t.seen('m', e.key, leaf); again {
				above.Manifests--
				above.Logical -= e.size
			}
			t.addSize(leaf, e.size)
			f.Physical += e.size
			f.Exclusive += e.size
		}
	}
	if f.Blobs > 0 || f.Manifests > 0 || f.Tags > 0 {
		f.Repositories = 1
	}
}

func (t *tree) addSize(leaf int32, size int64) {
	f := &t.nodes[leaf].figures
	f.Logical += size
	f.Repeated += size
}

// seen notes that a repository has a blob or manifest. If another one has it as well, seen returns the
// figures from which one of the two must be taken away.
func (t *tree) seen(kind byte, key string, leaf int32) (*Figures, bool) {
	var h maphash.Hash
	h.SetSeed(t.seed)
	_ = h.WriteByte(kind)
	_, _ = h.WriteString(key)
	sum := h.Sum64()
	last, again := t.last[sum]
	t.last[sum] = leaf
	if !again {
		return nil, false
	}
	return &t.nodes[t.common(last, leaf)].figures, true
}

// addData adds the bytes of a blob as they are stored.
func (t *tree) addData(leaf int32, e *entry) {
	f := &t.nodes[leaf].figures
	f.Physical += e.inline
	f.Exclusive += e.inline
	size := e.size - e.inline
	if size == 0 {
		return
	}
	f.Physical += size
	w, again := t.data[e.data]
	if !again {
		t.data[e.data] = where{leaf, leaf}
		f.Exclusive += size
		t.referenced += size
		return
	}
	t.nodes[t.common(w.last, leaf)].figures.Physical -= size
	above := t.common(w.above, leaf)
	t.nodes[w.above].figures.Exclusive -= size
	t.nodes[above].figures.Exclusive += size
	t.data[e.data] = where{leaf, above}
}

// sum adds the figures of the nodes below to those of each node, and frees what fold needed.
func (t *tree) sum() {
	t.last, t.data = nil, nil
	for i := len(t.nodes) - 1; i > 0; i-- {
		t.nodes[t.nodes[i].parent].figures.add(&t.nodes[i].figures)
	}
}

// add adds other figures.
func (f *Figures) add(g *Figures) {
	a, b := f.fields(), g.fields()
	for i := range a {
		*a[i] += *b[i]
	}
}

// fields returns the fields in the order in which rows have them.
func (f *Figures) fields() [9]*int64 {
	return [...]*int64{
		&f.Repositories, &f.Tags, &f.Manifests, &f.Blobs, &f.Logical, &f.Repeated, &f.Physical, &f.Exclusive,
		&f.Unreferenced,
	}
}

// order returns the nodes that have a row, in the order of the keys of their rows.
func (t *tree) order() []int32 {
	var order []int32
	for i := range t.nodes {
		n := &t.nodes[i]
		isOwn := i > 0 && t.nodes[n.parent].own == int32(i)
		if i == 0 || !isOwn && n.figures.Repositories > 0 {
			order = append(order, int32(i))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return compareRows(t.nodes[a].name, t.nodes[b].name) })
	return order
}
