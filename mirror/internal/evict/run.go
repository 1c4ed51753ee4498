package evict

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
)

const (
	// lookEvery is the maximum age of a size.
	lookEvery = time.Hour
	// rounds is how often a run chooses further units because those chosen before had to stay.
	rounds = 5
	// deletesAtOnce is the number of units of a repository that are deleted at the same time.
	deletesAtOnce = 8
	// endTimeout is the time that a run has to write its results after its context has ended.
	endTimeout = 10 * time.Second
)

// Report describes a run.
type Report struct {
	// Looked reports whether the run has looked into the repositories. Otherwise Size is that of an
	// earlier run, because the size cannot have grown beyond MaxSize since.
	Looked bool `json:"looked"`
	// Size is the size of the mirrored repositories after the run, in bytes. Needed are those bytes
	// among them that manifests name; the others can be collected, or will be when they are old
	// enough.
	Size   int64 `json:"size"`
	Needed int64 `json:"needed"`
	// Evicted counts the bytes, Images the units and Manifests the manifests that were evicted.
	Evicted   int64 `json:"evicted"`
	Images    int64 `json:"images"`
	Manifests int64 `json:"manifests"`
	// Collected reports whether the run has collected.
	Collected bool `json:"collected"`
	// Over reports whether the size still exceeds MaxSize, because nothing else may be evicted.
	Over bool `json:"over,omitempty"`
}

// Evict measures the mirrored repositories, evicts what exceeds Options.MaxSize, and collects.
// [Evictor.Run] does so whenever it may be necessary. Several runs at a time, in any processes, do
// no harm. The report counts what was done before an error. It is nil only if the run did not
// start.
//
// Errors: any error of the store or the driver; storage.ErrSingleProcess if the storage must not be
// collected while other processes use it.
func (e *Evictor) Evict(ctx context.Context) (*Report, error) { return e.run(ctx, true) }

// run is Evict. Unless look is set, it looks into the repositories only if that may be necessary.
func (e *Evictor) run(ctx context.Context, look bool) (*Report, error) {
	select {
	case e.running <- struct{}{}:
		defer func() { <-e.running }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r := &Report{}
	before, _, err := e.readState(ctx)
	if err != nil {
		return nil, err
	}
	_, data, err := e.store.Inventory().Bytes(ctx)
	if err == nil {
		r.Size = before.Size
		if look || e.due(before, data) {
			r.Looked = true
			err = e.evict(ctx, r, before)
		}
	}
	if err == nil && r.Collected {
		_, data, err = e.store.Inventory().Bytes(ctx)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	serr := e.updateState(end, func(s *state) {
		s.LastRun, s.Error = time.Now().UTC(), ""
		if err != nil {
			s.Error = err.Error()
		}
		if r.Looked && err == nil {
			s.Size, s.SizeAt, s.Data = r.Size, s.LastRun, data
		}
		if r.Collected {
			s.Collect = false
		}
		s.Evicted += r.Evicted
		s.Images += r.Images
	})
	return r, errors.Join(err, serr)
}

// due reports whether a run must look into the repositories. data is the size of the data objects.
func (e *Evictor) due(s *state, data int64) bool {
	if s.Collect || time.Since(s.SizeAt) >= lookEvery {
		return true
	}
	return e.opts.MaxSize > 0 && s.Size+max(data-s.Data, 0) > e.opts.MaxSize
}

// evict measures, evicts and collects.
func (e *Evictor) evict(ctx context.Context, r *Report, before *state) error {
	t, err := e.scan(ctx)
	if err != nil {
		return err
	}
	r.Size, r.Needed = t.total, t.needed
	if e.opts.MaxSize == 0 {
		return nil
	}
	if t.needed > e.opts.MaxSize {
		if err := e.shrink(ctx, r, t); err != nil {
			return err
		}
	}
	if before.Collect || r.Manifests > 0 || t.total > e.opts.MaxSize && t.garbage > 0 {
		if err := e.opts.Collect(ctx); err != nil {
			return err
		}
		r.Collected = true
		if t, err = e.scan(ctx); err != nil {
			return err
		}
	}
	r.Size, r.Needed = t.total, t.needed
	if r.Over = r.Size > e.opts.MaxSize; r.Over {
		e.log.WarnContext(ctx, "the mirror exceeds its size", "size", r.Size, "max", e.opts.MaxSize, "needed", r.Needed)
	}
	return nil
}

// shrink evicts until the needed data are not larger than Options.Target.
func (e *Evictor) shrink(ctx context.Context, r *Report, t *table) error {
	if err := e.updateState(ctx, func(s *state) { s.Collect = true }); err != nil {
		return err
	}
	needed := t.needed
	defer func() { r.Evicted = max(needed-t.needed, 0) }()
	for range rounds {
		chosen := t.choose(e.opts.Target)
		if len(chosen) == 0 {
			return nil
		}
		slices.SortStableFunc(chosen, func(a, b *candidate) int { return cmp.Compare(a.repo, b.repo) })
		for len(chosen) > 0 {
			n := 1
			for n < len(chosen) && chosen[n].repo == chosen[0].repo {
				n++
			}
			if err := e.remove(ctx, r, t, chosen[:n]); err != nil {
				for _, c := range chosen[n:] {
					t.spare(c.victims)
				}
				return err
			}
			chosen = chosen[n:]
		}
	}
	return nil
}

// spare puts victims back that are not evicted after all.
func (t *table) spare(victims []victim) {
	for _, v := range victims {
		t.giveBack(v)
	}
}

// removal is the eviction of units of one repository.
type removal struct {
	evictor *Evictor
	graph   *graph

	mu     sync.Mutex
	report *Report
	table  *table
	gone   []string // digests and tags
}

// remove evicts units of one repository. It looks into the repository again, and spares what has
// been used or pinned since it was chosen.
func (e *Evictor) remove(ctx context.Context, r *Report, t *table, units []*candidate) error {
	g, err := e.graph(ctx, units[0].repo)
	if err != nil {
		for _, c := range units {
			t.spare(c.victims)
		}
		return err
	}
	rm := &removal{evictor: e, graph: g, report: r, table: t}
	err = parallel.Each(deletesAtOnce, len(units), func(i int) error { return rm.unit(ctx, units[i]) })
	if len(rm.gone) > 0 && e.pulls != nil {
		err = errors.Join(err, e.pulls.Forget(ctx, g.repo, rm.gone...))
	}
	return err
}

// unit deletes the manifests of a unit.
func (rm *removal) unit(ctx context.Context, c *candidate) error {
	some := false
	for i, v := range c.victims {
		n := rm.graph.nodes[v.digest]
		if n == nil {
			continue // another process has evicted it
		}
		if n.kept || n.unit.used.After(c.used) {
			rm.spare(v)
			continue
		}
		deleted, err := rm.manifest(ctx, n)
		if err != nil {
			rm.spare(c.victims[i:]...)
			return err
		}
		if !deleted {
			rm.spare(v)
		}
		some = some || deleted
	}
	if some {
		rm.mu.Lock()
		rm.report.Images++
		rm.mu.Unlock()
		e := rm.evictor
		e.log.InfoContext(ctx, "evicted from the mirror", "repository", c.repo, "digest", c.victims[0].digest.Value(),
			"used", c.used)
	}
	return nil
}

// spare is table.spare, for concurrent use.
func (rm *removal) spare(victims ...victim) {
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.table.spare(victims)
}

// manifest deletes a manifest. It reports false if the manifest has to stay, because it is being
// read or a tag that is new leads to it.
func (rm *removal) manifest(ctx context.Context, n *node) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	e, d := rm.evictor, n.digest.Value()
	if e.reading.has(rm.graph.repo, d) {
		return false, nil
	}
	err := e.store.DeleteManifest(ctx, rm.graph.repo, reference.Ref{Digest: d}, &registry.DeleteOptions{
		Keep: func(tag string) bool { return !rm.graph.tags[tag] },
	})
	switch {
	case errors.Is(err, registry.ErrDenied):
		return false, nil
	case errors.Is(err, registry.ErrManifestUnknown): // another process has deleted it
		return true, nil
	case err != nil:
		return false, err
	}
	rm.mu.Lock()
	defer rm.mu.Unlock()
	rm.report.Manifests++
	rm.gone = append(append(rm.gone, string(d)), n.tags...)
	for _, b := range n.blobs {
		if _, ok := rm.graph.times.Digest(b.Value()); ok { // a long read
			rm.gone = append(rm.gone, string(b.Value()))
		}
	}
	return true, nil
}
