package gc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
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

// Options are the options of [New]. storage.CollectOptions documents them.
type Options struct {
	Grace    time.Duration // negative: none
	Untagged bool
	DryRun   bool
	Parallel int // maximum number of requests at a time
	Rate     int // maximum number of requests per second; 0 is no limit
	Memory   int // maximum size of the sets of what is needed, in bytes
	Progress func(Report)
}

// Report is what a collection has found and done so far. storage.CollectReport documents it.
type Report struct {
	DryRun                                          bool
	Started                                         time.Time
	Duration                                        time.Duration
	Requests                                        int64
	Repositories, Manifests, Blobs, Data, DataBytes int64
	Removed                                         Counts
}

// Counts counts what a collection has removed. storage.CollectCounts documents it.
type Counts struct {
	Uploads         int64
	Pending         int64
	Untagged        int64
	Blobs           int64
	Data, DataBytes int64
	Pointers        int64
	Repositories    int64
}

// Collector is one collection.
type Collector struct {
	objects   *object.Store // over throttled
	throttled *throttled
	opts      Options

	links          *listSnapshot // the links of all repositories
	namedData      *bloom        // names of data that links name
	remainingLinks *bloom        // links
	nonEmpty       *bloom        // repositories with something in them

	mu           sync.Mutex
	report       Report
	lastProgress time.Time

	progressMu sync.Mutex // held while Progress is called
}

// New returns a collection of objects, which begins now. Its requests are counted, and spread over time
// if Options.Rate asks for it.
func New(objects *object.Store, opts Options) *Collector {
	p := &throttled{Driver: objects.WithReserve().Driver}
	if opts.Rate > 0 {
		p.gap = time.Second / time.Duration(opts.Rate)
	}
	now := time.Now()
	return &Collector{
		objects: objects.WithDriver(p), throttled: p, opts: opts,
		links:          newListSnapshot(),
		namedData:      newBloom(opts.Memory / 3),
		remainingLinks: newBloom(opts.Memory / 3),
		nonEmpty:       newBloom(opts.Memory / 24),
		report:         Report{DryRun: opts.DryRun, Started: now},
		lastProgress:   now,
	}
}

// Objects returns the objects that are collected, for the steps of a collection that precede Run. Their
// requests count like those of Run.
func (c *Collector) Objects() *object.Store { return c.objects }

// Run collects every repository, and then the data that no repository names.
//
// Errors: any error of reading, because nothing is removed on doubt.
func (c *Collector) Run(ctx context.Context) error {
	if err := c.eachRepository(ctx, c.collectRepository); err != nil {
		return err
	}
	steps := []func(context.Context) error{
		c.removeStrayTombstones, c.collectData, c.collectIndex, c.collectRepositories,
	}
	for _, step := range steps {
		c.progress(true)
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Finish reports the final state to Options.Progress and returns it.
func (c *Collector) Finish() Report {
	c.progress(true)
	return c.snapshot()
}

// old reports whether the grace is over for what was put at t.
func (c *Collector) graceOver(t time.Time) bool {
	return c.opts.Grace < 0 || time.Since(t) >= c.opts.Grace
}

func (c *Collector) parallel(n int, f func(i int) error) error {
	return parallel.Each(c.opts.Parallel, n, f)
}

// Count changes the report, and reports progress if that is due.
func (c *Collector) Count(f func(*Report)) {
	c.mu.Lock()
	f(&c.report)
	c.mu.Unlock()
	c.progress(false)
}

func (c *Collector) snapshot() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	r.Duration, r.Requests = time.Since(r.Started), c.throttled.requests.Load()
	return r
}

// progress tells the host how far it has come, if that is due.
func (c *Collector) progress(always bool) {
	if c.opts.Progress == nil {
		return
	}
	c.mu.Lock()
	due := always || time.Since(c.lastProgress) >= time.Second
	if due {
		c.lastProgress = time.Now()
	}
	c.mu.Unlock()
	if !due {
		return
	}
	if always {
		c.progressMu.Lock()
	} else if !c.progressMu.TryLock() {
		return
	}
	defer c.progressMu.Unlock()
	c.opts.Progress(c.snapshot())
}

// eachRepository calls f for each repository that has anything below r/.
func (c *Collector) eachRepository(ctx context.Context, f func(ctx context.Context, repo object.Repo) error) error {
	after := ""
	for {
		name := ""
		opts := &driver.ListOptions{After: after, KeysOnly: true, PageHint: 1}
		for info, err := range c.objects.Driver.List(ctx, object.ContentPrefix, opts) {
			if err != nil {
				return object.RegistryError(err)
			}
			name, _, _ = strings.Cut(info.Key[len(object.ContentPrefix):], "/")
			break
		}
		if name == "" {
			return nil
		}
		if repo := object.Unescape(name); reference.CheckName(repo) == nil {
			if err := f(ctx, c.objects.Repo(repo)); err != nil {
				return fmt.Errorf("storage: collecting %s: %w", repo, err)
			}
		}
		after = object.ContentPrefix + name + "0" // "0" follows "/"
	}
}

// repositories removes those from the catalogue that have nothing in them.
func (c *Collector) collectRepositories(ctx context.Context) error {
	for info, err := range c.objects.Driver.List(ctx, object.RepositoryPrefix, nil) {
		if err != nil {
			return object.RegistryError(err)
		}
		name := object.Unescape(info.Key[len(object.RepositoryPrefix):])
		if c.nonEmpty.has(name) || !c.graceOver(info.ModTime) || reference.CheckName(name) != nil {
			continue
		}
		repo := c.objects.Repo(name)
		if nonEmpty, err := c.isNonEmpty(ctx, repo); err != nil {
			return err
		} else if nonEmpty {
			continue
		}
		if !c.opts.DryRun {
			if err := c.objects.RemoveIfUnchanged(ctx, info.Key, info.Version); err != nil {
				return err
			}
			// A push may have found the repository in the catalogue just before it was taken out.
			if err := c.ensureCataloged(ctx, repo); err != nil {
				return err
			}
			if err := c.objects.Driver.Sync(ctx, info.Key); err != nil {
				return object.RegistryError(err)
			}
		}
		c.Count(func(r *Report) { r.Removed.Repositories++ })
	}
	return nil
}

// isFilled reports whether anything is below the key of the repository.
func (c *Collector) isNonEmpty(ctx context.Context, repo object.Repo) (bool, error) {
	for _, err := range c.objects.Driver.List(ctx, repo.RepoPrefix(), &driver.ListOptions{KeysOnly: true, PageHint: 1}) {
		return err == nil, object.RegistryError(err)
	}
	return false, nil
}

// catalogue sees to it that a repository with a manifest is in the catalogue. A delete of it that
// is on its way goes on.
func (c *Collector) ensureCataloged(ctx context.Context, repo object.Repo) error {
	if used, err := repo.HasManifest(ctx, ""); err != nil || !used {
		return err
	}
	r, err := repo.ReadRepository(ctx)
	if err != nil || r.Version != "" {
		return err
	}
	if _, err = repo.PutRepository(ctx, nil, object.ExpectAbsent); err != nil {
		return err
	}
	return repo.EndEpoch(ctx, "", object.AnythingDeleted, nil) // what has been deleted is not known any more
}
