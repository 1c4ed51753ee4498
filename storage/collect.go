package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// A collection runs beside pushes, deletes and other collections, on any replica, without a lock.
// Whatever it removes it first marks, then looks whether it is needed, and then removes on the
// version of the mark; whoever needs it names it first, then looks at the mark. So one of the two
// sees the other, however long either stalls between two steps. The protocol is in internal/model:
// collect.pml for links and data, keep.pml and tags.pml for manifests, tags and back references,
// refs.pml for referrers. A first look, which only chooses what to mark, makes sure that what is in
// use is left alone. If anything cannot be read, the collection ends with the error: nothing is
// removed on doubt. All that a collection leaves that was killed is what the next finds and
// finishes.
//
// Memory does not grow with what is in the storage, but for about a byte for each link, and for
// each manifest of one repository: what was read is kept in sums over blocks (looked), what is
// needed in sets of four bytes each, up to CollectOptions.Memory (bloom), and what is to be removed
// is removed in batches.

// CollectOptions are the options of [Store.Collect]. nil is the zero CollectOptions.
type CollectOptions struct {
	// Grace is how long content that nothing names is left alone. Nothing is lost without it, but
	// then a push may be told that a blob which it has just sent is not there, and must send it
	// again. If the Stores have a grace of two minutes or more, on which a refused push relies,
	// that may happen several times in a row. Default: Options.Grace; negative: none.
	Grace time.Duration
	// Untagged removes manifests that no tag points at, that no other manifest of the repository
	// names, and that are not referrers of a manifest which is there. What they alone have named
	// goes too, part of it in the next collection. Default: they stay.
	Untagged bool
	// DryRun removes nothing, and counts what would be removed. What only becomes free by a removal
	// is not counted.
	DryRun bool
	// Exclusive collects a storage that must not be collected beside other processes, see
	// [driver.SingleProcess]: the caller knows that there are none.
	Exclusive bool
	// Parallel is how many requests to the storage are made at once. Default: 16.
	Parallel int
	// Rate is how many requests to the storage are made in a second at most. Default: any number.
	Rate int
	// Memory bounds what is kept of what is needed, in bytes. Beyond about one blob for twelve
	// bytes, less is removed. Default: 64 MiB.
	Memory int
	// Progress, unless nil, is called about once a second, and at the end of each part, with what
	// has been done so far, from any goroutine, but by one at a time.
	Progress func(CollectReport)
}

// CollectReport is what a collection has done.
type CollectReport struct {
	// DryRun says that nothing has been removed.
	DryRun bool
	// Started is when it began, by the clock of this process, and Duration how long it took.
	Started  time.Time
	Duration time.Duration
	// Requests is how many requests to the storage were made; a list counts for each thousand
	// elements.
	Requests int64
	// Repositories, Manifests, Blobs (in each repository), Data (objects with the bytes of blobs)
	// and DataBytes are what was found.
	Repositories, Manifests, Blobs, Data, DataBytes int64
	// Removed is what was removed.
	Removed CollectCounts
}

// CollectCounts counts what a collection has removed.
type CollectCounts struct {
	// Uploads had no request for Options.UploadTTL.
	Uploads int64
	// Pending are manifests whose push has died.
	Pending int64
	// Untagged are manifests that nothing led to.
	Untagged int64
	// Blobs were named by no manifest of their repository.
	Blobs int64
	// Data are objects with the bytes of blobs that no repository had, DataBytes their bytes.
	Data, DataBytes int64
	// Pointers are tags, back references, entries of referrers and of the index that led to
	// nothing. Hints of referrers count if an older version has removed the entry without them.
	Pointers int64
	// Repositories had nothing in them, or their delete had not come to its end.
	Repositories int64
}

// ErrSingleProcess is what Collect returns, wrapped with the reason, on a storage that must not be
// collected beside other processes.
var ErrSingleProcess = errors.New("storage: cannot be collected beside other processes")

// Collect removes what nothing needs: blobs that no manifest of their repository names, bytes that
// no repository has, and what pushes, uploads and deletes have left that died. It may run beside
// anything, also beside other collections, on any replica, and be ended by ctx at any time. opts
// may be nil. What was done until an error is in the report.
//
// Errors: ErrSingleProcess; any error of reading, as nothing is removed on doubt.
func (s *Store) Collect(ctx context.Context, opts *CollectOptions) (*CollectReport, error) {
	c, err := s.newCollector(opts)
	if err != nil {
		return nil, err
	}
	err = c.run(ctx)
	c.progress(true)
	r := c.snapshot()
	return &r, err
}

// collector is one collection.
type collector struct {
	s     *Store // over paced
	paced *paced
	opts  CollectOptions

	links  *looked // the links of all repositories
	named  *bloom  // names of data that links name
	linked *bloom  // links
	filled *bloom  // repositories with something in them

	mu     sync.Mutex
	report CollectReport
	told   time.Time

	telling sync.Mutex // held while Progress is called
}

func (s *Store) newCollector(opts *CollectOptions) (*collector, error) {
	var o CollectOptions
	if opts != nil {
		o = *opts
	}
	if c, ok := s.driver.(driver.SingleProcess); ok && !o.Exclusive {
		if reason := c.SingleProcess(); reason != "" {
			return nil, fmt.Errorf("%w: %s", ErrSingleProcess, reason)
		}
	}
	if o.Grace == 0 {
		o.Grace = s.opts.Grace
	}
	if o.Parallel == 0 {
		o.Parallel = parallelism
	}
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	if o.Parallel < 0 || o.Rate < 0 || o.Memory < 0 {
		return nil, errors.New("storage: an option of Collect is negative")
	}
	p := &paced{Driver: s.driver, reserve: s.reserve}
	if o.Rate > 0 {
		p.gap = time.Second / time.Duration(o.Rate)
	}
	over := *s
	over.driver = p
	now := time.Now()
	return &collector{
		s: &over, paced: p, opts: o, links: newLooked(),
		named: newBloom(o.Memory / 3), linked: newBloom(o.Memory / 3), filled: newBloom(o.Memory / 24),
		report: CollectReport{DryRun: o.DryRun, Started: now}, told: now,
	}, nil
}

func (c *collector) run(ctx context.Context) error {
	n, err := c.s.expireUploads(ctx, c.opts.DryRun)
	c.count(func(r *CollectReport) { r.Removed.Uploads += int64(n) })
	if err != nil {
		return err
	}
	if err := c.finishDeletes(ctx); err != nil {
		return err
	}
	if err := c.eachRepository(ctx, c.repository); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{c.marks, c.data, c.index, c.repositories} {
		c.progress(true)
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// old reports whether the grace is over for what was put at t.
func (c *collector) old(t time.Time) bool { return c.opts.Grace < 0 || time.Since(t) >= c.opts.Grace }

func (c *collector) parallel(n int, f func(i int) error) error {
	return parallel.Each(c.opts.Parallel, n, f)
}

func (c *collector) count(f func(*CollectReport)) {
	c.mu.Lock()
	f(&c.report)
	c.mu.Unlock()
	c.progress(false)
}

func (c *collector) snapshot() CollectReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	r.Duration, r.Requests = time.Since(r.Started), c.paced.requests.Load()
	return r
}

// progress tells the host how far it has come, if that is due.
func (c *collector) progress(always bool) {
	if c.opts.Progress == nil {
		return
	}
	c.mu.Lock()
	due := always || time.Since(c.told) >= time.Second
	if due {
		c.told = time.Now()
	}
	c.mu.Unlock()
	if !due {
		return
	}
	if always {
		c.telling.Lock()
	} else if !c.telling.TryLock() {
		return
	}
	defer c.telling.Unlock()
	c.opts.Progress(c.snapshot())
}

// eachRepository calls f for each repository that has anything below r/.
func (c *collector) eachRepository(ctx context.Context, f func(ctx context.Context, repo string) error) error {
	after := ""
	for {
		name := ""
		for info, err := range c.s.driver.List(ctx, contents, &driver.ListOptions{After: after, KeysOnly: true, PageHint: 1}) {
			if err != nil {
				return wire(err)
			}
			name, _, _ = strings.Cut(info.Key[len(contents):], "/")
			break
		}
		if name == "" {
			return nil
		}
		if repo := unescape(name); reference.CheckName(repo) == nil {
			if err := f(ctx, repo); err != nil {
				return fmt.Errorf("storage: collecting %s: %w", repo, err)
			}
		}
		after = contents + name + "0" // "0" follows "/"
	}
}

// finishDeletes brings deletes of whole repositories to their end that have not come to it.
func (c *collector) finishDeletes(ctx context.Context) error {
	plain, err := encode(&repositoryRecord{Nonce: nonce()}, nil)
	if err != nil {
		return err
	}
	for info, err := range c.s.driver.List(ctx, repositories, nil) {
		if err != nil {
			return wire(err)
		}
		repo := unescape(info.Key[len(repositories):])
		if info.Size <= int64(len(plain)) || reference.CheckName(repo) != nil {
			continue
		}
		r, err := c.s.readRepository(ctx, repo)
		if err != nil {
			return err
		}
		if r.Deleting == nil {
			continue
		}
		if !c.opts.DryRun {
			err := c.s.finishDelete(ctx, repo, r)
			if errors.Is(err, errPushed) {
				continue
			}
			if err != nil && !errors.Is(err, registry.ErrNameUnknown) {
				return err
			}
		}
		c.count(func(r *CollectReport) { r.Removed.Repositories++ })
	}
	return nil
}

// repositories removes those from the catalogue that have nothing in them.
func (c *collector) repositories(ctx context.Context) error {
	for info, err := range c.s.driver.List(ctx, repositories, nil) {
		if err != nil {
			return wire(err)
		}
		repo := unescape(info.Key[len(repositories):])
		if c.filled.has(repo) || !c.old(info.ModTime) || reference.CheckName(repo) != nil {
			continue
		}
		if filled, err := c.isFilled(ctx, repo); err != nil {
			return err
		} else if filled {
			continue
		}
		if !c.opts.DryRun {
			if err := c.s.removeSeen(ctx, info.Key, info.Version); err != nil {
				return err
			}
			// A push may have found the repository in the catalogue just before it was taken out.
			if err := c.catalogue(ctx, repo); err != nil {
				return err
			}
			if err := c.s.driver.Sync(ctx, info.Key); err != nil {
				return wire(err)
			}
		}
		c.count(func(r *CollectReport) { r.Removed.Repositories++ })
	}
	return nil
}

// isFilled reports whether anything is below the key of the repository.
func (c *collector) isFilled(ctx context.Context, repo string) (bool, error) {
	for _, err := range c.s.driver.List(ctx, repoPrefix(repo), &driver.ListOptions{KeysOnly: true, PageHint: 1}) {
		return err == nil, wire(err)
	}
	return false, nil
}

// catalogue sees to it that a repository with a manifest is in the catalogue. A delete of it that
// is on its way goes on.
func (c *collector) catalogue(ctx context.Context, repo string) error {
	if used, err := c.s.hasManifest(ctx, repo, ""); err != nil || !used {
		return err
	}
	r, err := c.s.readRepository(ctx, repo)
	if err != nil || r.version != "" {
		return err
	}
	if _, err = c.s.putRepository(ctx, repo, nil, false); err != nil {
		return err
	}
	return c.s.endEpoch(ctx, repo, "", anythingDeleted, nil) // what has been deleted is not known any more
}
