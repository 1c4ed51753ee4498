package usage

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// Progress is the state of a count. Its JSON form is the progress of the job.
type Progress struct {
	// Repositories, Blobs and Requests are the numbers so far. Blobs counts a blob once for each
	// repository. A list counts as one request for each thousand elements.
	Repositories int64 `json:"repositories"`
	Blobs        int64 `json:"blobs"`
	Requests     int64 `json:"requests"`
	// Total is the number of repositories, or 0 while their names are being listed.
	Total int64 `json:"total"`
}

// Count counts the whole storage, stores the result, and returns the figures of the whole storage. It
// reads only the records that are new or changed since the last count. progress may be nil. It is called
// again and again, one call at a time, from several goroutines.
//
// A count holds in memory about 70 bytes for each blob, however many repositories have it, about 500
// bytes for each repository, and at most Options.Parallel tables of about 100 bytes for each blob and
// manifest of a repository.
//
// If another count has ended since this one began, its result stays, and this one is only returned.
//
// Errors: any error of the driver. The last result then stays, and the Report is zero. If only the removal
// of old objects fails, the result is stored and returned with the error; the next count tries again.
func (m *Meter) Count(ctx context.Context, progress func(Progress)) (Report, error) {
	c := m.newCall(progress)
	if err := c.enter(ctx); err != nil {
		return Report{}, err
	}
	counted := m.now()
	old, version, err := m.readRoot(ctx, c)
	if err != nil {
		return Report{}, err
	}
	names, err := m.names(ctx, c)
	if err != nil {
		return Report{}, err
	}
	stored, err := m.stored(ctx, c)
	c.leave()
	if err != nil {
		return Report{}, err
	}
	t := newTree(names)
	if err := m.foldAll(ctx, t, names, c); err != nil {
		return Report{}, err
	}
	t.nodes[0].figures.Unreferenced = max(0, stored-t.referenced)
	t.sum()
	if err := c.enter(ctx); err != nil {
		return Report{}, err
	}
	defer c.leave()
	w := m.newWriter(counted, c)
	top, err := w.addAll(ctx, t, m.oldRows(ctx, old, c))
	if err != nil {
		return Report{}, err
	}
	published, err := w.publish(ctx, version)
	if err != nil {
		return Report{}, err
	}
	if published {
		err = errors.Join(m.dropSnapshots(ctx, w.root.Snapshot, c), m.dropTables(ctx, names, c))
	}
	c.report()
	return top.report(counted), err
}

// names returns the names of the repositories in the order of the tree.
func (m *Meter) names(ctx context.Context, c *call) ([]string, error) {
	var names []string
	for name, err := range m.store.Inventory().Repositories(ctx, "") {
		if err == nil {
			err = c.request(ctx)
		}
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		if len(names)%perList == 0 {
			c.report()
		}
	}
	slices.SortFunc(names, compareNames)
	c.total.Store(int64(len(names)))
	c.report()
	return names, c.request(ctx)
}

// stored returns the size of all data objects.
func (m *Meter) stored(ctx context.Context, c *call) (int64, error) {
	objects, bytes, err := m.store.Inventory().Bytes(ctx)
	c.requests.Add(1 + objects/perList)
	return bytes, err
}

// foldAll brings the tables of all repositories up to date and adds them to the tree.
func (m *Meter) foldAll(ctx context.Context, t *tree, names []string, c *call) error {
	type result struct {
		table *table
		tags  int64
	}
	results := make([]result, m.opts.Parallel)
	for from := 0; from < len(names); from += len(results) {
		batch := names[from:min(from+len(results), len(names))]
		err := parallel.Each(len(batch), len(batch), func(i int) (err error) {
			if err := c.enter(ctx); err != nil {
				return err
			}
			defer c.leave()
			r := &results[i]
			if r.table, _, err = m.refresh(ctx, batch[i], c); err == nil {
				r.tags, err = m.tags(ctx, batch[i], c)
			}
			c.repositories.Add(1)
			c.report()
			return err
		})
		if err != nil {
			return err
		}
		for i := range batch {
			t.fold(from+i, results[i].table, results[i].tags)
			results[i].table = nil
		}
	}
	return nil
}

// tags returns the number of tags of a repository.
func (m *Meter) tags(ctx context.Context, repo string, c *call) (int64, error) {
	n := int64(0)
	if err := c.request(ctx); err != nil {
		return 0, err
	}
	for _, err := range m.store.Tags(ctx, repo, nil) {
		if errors.Is(err, registry.ErrNameUnknown) {
			break
		}
		if err == nil {
			err = c.listed(ctx, n)
		}
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// addAll adds the rows of a tree. It takes the history from old rows, which come in the same order. The
// result is the row of the whole storage.
func (w *writer) addAll(ctx context.Context, t *tree, old iter.Seq2[*row, error]) (*row, error) {
	next, stop := iter.Pull2(old)
	defer stop()
	before, err, more := next()
	order := t.order()
	var top *row
	for _, i := range order {
		r := t.row(i, order)
		for more && err == nil && compareRows(before.prefix, r.prefix) < 0 {
			before, err, more = next()
		}
		if err != nil {
			return nil, err
		}
		if more && before.prefix == r.prefix {
			r.days = before.days
		}
		r.days = withDay(r.days, w.root.Counted.Unix(), r.figures)
		if err := w.add(ctx, r); err != nil {
			return nil, err
		}
		if top == nil {
			top = r
		}
	}
	return top, nil
}

// row returns the row of a node, without days.
func (t *tree) row(i int32, order []int32) *row {
	n := &t.nodes[i]
	r := &row{prefix: n.name, figures: n.figures}
	switch {
	case n.own != 0:
		r.own = t.nodes[n.own].figures
	case n.leaf:
		r.own = n.figures
	}
	r.repository = r.own.Repositories > 0
	children := t.children(n.name, order)
	r.children = int64(len(children))
	largest := slices.Clone(children)
	slices.SortFunc(largest, func(a, b int32) int {
		x, y := &t.nodes[a], &t.nodes[b]
		return cmp.Or(-cmp.Compare(x.figures.Physical, y.figures.Physical), strings.Compare(x.name, y.name))
	})
	for _, j := range largest[:min(len(largest), MaxLargest)] {
		c := &t.nodes[j]
		r.largest = append(r.largest, child{
			prefix: c.name, repository: c.leaf || c.own != 0 && t.nodes[c.own].figures.Repositories > 0,
			children: int64(len(t.children(c.name, order))), figures: c.figures,
		})
	}
	return r
}

// children returns the part of an order that is directly below a prefix.
func (t *tree) children(prefix string, order []int32) []int32 {
	order = order[1:] // that of "" has no row above it
	from, _ := slices.BinarySearchFunc(order, prefix, func(i int32, prefix string) int {
		above, _ := split(t.nodes[i].name)
		return cmp.Compare(above, prefix)
	})
	to := from
	for to < len(order) {
		if above, _ := split(t.nodes[order[to]].name); above != prefix {
			break
		}
		to++
	}
	return order[from:to]
}

// oldRows yields all rows of the last snapshot, which may be nil. Rows of a page that is missing are left
// out: their history begins anew.
//
// Errors: any error of the driver.
func (m *Meter) oldRows(ctx context.Context, old *root, c *call) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		if old == nil {
			return
		}
		for page := range old.Last {
			for r, err := range m.rows(ctx, old, page, c) {
				if !errors.Is(err, errGone) && !yield(r, err) {
					return
				}
			}
		}
	}
}

// dropTables removes the tables of repositories that are gone. If one has come back since, its table is
// made again.
//
// Errors: any error of the driver.
func (m *Meter) dropTables(ctx context.Context, names []string, c *call) error {
	var keys []string
	elements := int64(0)
	if err := c.request(ctx); err != nil {
		return err
	}
	for info, err := range m.driver.List(ctx, tablePrefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return wrap("listing", err)
		}
		if err := c.listed(ctx, elements); err != nil {
			return err
		}
		elements++
		name, _, _ := strings.Cut(info.Key[len(tablePrefix):], "/")
		if _, found := slices.BinarySearchFunc(names, objectkey.Unescape(name), compareNames); !found {
			keys = append(keys, info.Key)
		}
	}
	return m.deleteKeys(ctx, keys, c)
}
