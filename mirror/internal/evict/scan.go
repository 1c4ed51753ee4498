package evict

import (
	"context"
	"iter"
	"slices"
	"time"
)

// table is what a run knows of all mirrored repositories.
type table struct {
	data  map[uint64]int // by link.data: index in sizes and needs
	sizes []int64        // of the data, in bytes
	needs []int32        // how many manifests name the data

	candidates []*candidate
	// total is the size of all data in bytes. needed is that of the data that a manifest names, and
	// garbage that of the others which are old enough to be collected.
	total, needed, garbage int64
}

// candidate is a unit that may be evicted, as far as it may be.
type candidate struct {
	repo    string
	used    time.Time
	victims []victim // in an order in which none names an earlier one
}

// victim is a manifest of a candidate.
type victim struct {
	digest name
	data   []int // indices of the data that it names
}

// scan reads all mirrored repositories.
func (e *Evictor) scan(ctx context.Context) (*table, error) {
	t := &table{data: map[uint64]int{}}
	seen := map[string]bool{}
	for repo, err := range e.repositories(ctx) {
		var g *graph
		if err == nil {
			g, err = e.graph(ctx, repo)
		}
		if err != nil {
			return nil, err
		}
		seen[repo] = true
		e.add(t, g)
	}
	e.cache.retain(seen)
	slices.SortStableFunc(t.candidates, func(a, b *candidate) int { return a.used.Compare(b.used) })
	t.count()
	return t, nil
}

// repositories yields the mirrored repositories.
func (e *Evictor) repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, p := range e.opts.Prefixes {
			for repo, err := range e.store.Inventory().Repositories(ctx, p) {
				if !yield(repo, err) {
					return
				}
			}
		}
	}
}

// add adds a repository to the table.
func (e *Evictor) add(t *table, g *graph) {
	index := make(map[name]int, len(g.links))
	for blob, l := range g.links {
		i, shared := t.data[l.data]
		if !shared || l.data == 0 {
			i = len(t.sizes)
			t.sizes, t.needs = append(t.sizes, l.size), append(t.needs, 0)
			t.total += l.size
		}
		if l.data != 0 {
			t.data[l.data] = i
		}
		index[blob] = i
	}
	needed := make(map[name]bool, len(g.links))
	for _, u := range g.units {
		c := &candidate{repo: g.repo, used: u.used}
		for _, n := range u.nodes {
			v := victim{digest: n.digest, data: make([]int, len(n.blobs))}
			for i, blob := range n.blobs {
				needed[blob] = true
				v.data[i] = index[blob]
				t.needs[index[blob]]++
			}
			if !n.kept {
				c.victims = append(c.victims, v)
			}
		}
		if len(c.victims) > 0 {
			t.candidates = append(t.candidates, c)
		}
	}
	for blob, l := range g.links {
		if !needed[blob] && (e.opts.MinAge < 0 || time.Since(l.fetched) >= e.opts.MinAge) {
			t.garbage += l.size
		}
	}
}

// count counts the needed data.
func (t *table) count() {
	t.needed = 0
	for i, n := range t.needs {
		if n > 0 {
			t.needed += t.sizes[i]
		}
	}
}

// take counts a victim as evicted.
func (t *table) take(v victim) {
	for _, i := range v.data {
		if t.needs[i]--; t.needs[i] == 0 {
			t.needed -= t.sizes[i]
		}
	}
}

// giveBack undoes take.
func (t *table) giveBack(v victim) {
	for _, i := range v.data {
		if t.needs[i]++; t.needs[i] == 1 {
			t.needed += t.sizes[i]
		}
	}
}

// choose takes candidates, those first that were not used for the longest time, until the needed
// data are not larger than target. It returns them, and removes them from the table.
func (t *table) choose(target int64) []*candidate {
	n := 0
	for ; n < len(t.candidates) && t.needed > target; n++ {
		for _, v := range t.candidates[n].victims {
			t.take(v)
		}
	}
	chosen := t.candidates[:n]
	t.candidates = t.candidates[n:]
	return chosen
}

// inBatches calls f for the elements of a list, many at a time.
func inBatches[T any](list iter.Seq2[T, error], f func([]T) error) error {
	const size = 1000
	var batch []T
	for element, err := range list {
		if err != nil {
			return err
		}
		if batch = append(batch, element); len(batch) == size {
			if err := f(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return f(batch)
}
