package gc

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// Options are the options of [New]. storage.CollectOptions documents them.
type Options struct {
	Grace     time.Duration                                    // grace period; negative: none
	GraceFor  func(repo string, d digest.Digest) time.Duration // may be nil, and return 0 for Grace
	DataGrace time.Duration                                    // grace period of data that no link names
	Untagged  bool                                             // also remove untagged manifests
	DryRun    bool                                             // remove nothing
	Parallel  int                                              // maximum number of requests at a time
	Rate      int                                              // maximum number of requests per second; 0 means no limit
	Memory    int                                              // maximum size of the Bloom filters, in bytes
	Progress  func(Report)                                     // may be nil
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

	links          *listSnapshot // the lists of the links of all repositories
	namedData      *bloom        // names of the data that links name
	remainingLinks *bloom        // keys of the links that stay
	nonEmpty       *bloom        // names of the repositories with content

	mu           sync.Mutex
	report       Report
	lastProgress time.Time

	progressMu sync.Mutex // held while Options.Progress is called
}

// New returns a collection of objects. The time of the call is its start. Its requests are counted,
// and spread over time if Options.Rate is set. Its writes and deletes may use the reserve.
func New(objects *object.Store, opts Options) *Collector {
	p := &throttled{Driver: objects.WithReserve().Driver}
	if opts.Rate > 0 {
		p.gap = time.Second / time.Duration(opts.Rate)
	}
	now := time.Now()
	return &Collector{
		objects: objects.WithoutCache().WithDriver(p), throttled: p, opts: opts,
		links:          newListSnapshot(),
		namedData:      newBloom(opts.Memory / 3),
		remainingLinks: newBloom(opts.Memory / 3),
		nonEmpty:       newBloom(opts.Memory / 24),
		report:         Report{DryRun: opts.DryRun, Started: now},
		lastProgress:   now,
	}
}

// Objects returns the objects that are collected, for the steps that package storage takes before
// Run. Their requests count like those of Run.
func (c *Collector) Objects() *object.Store { return c.objects }

// Run collects every repository, and then the data that no repository names. It calls
// Options.Progress between the steps.
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

// graceOver reports whether the grace period of an object that was written at t is over.
func (c *Collector) graceOver(t time.Time) bool { return isOver(c.opts.Grace, t) }

// linkGraceOver is graceOver for a link, see Options.GraceFor.
func (c *Collector) linkGraceOver(repo string, d digest.Digest, t time.Time) bool {
	grace := c.opts.Grace
	if c.opts.GraceFor != nil {
		if own := c.opts.GraceFor(repo, d); own != 0 {
			grace = own
		}
	}
	return isOver(grace, t)
}

// isOver reports whether a grace period that began at t is over. A negative one always is.
func isOver(grace time.Duration, t time.Time) bool { return grace < 0 || time.Since(t) >= grace }

// parallel calls f for 0 to n-1, at most Options.Parallel calls at a time.
func (c *Collector) parallel(n int, f func(i int) error) error {
	return parallel.Each(c.opts.Parallel, n, f)
}

// Count changes the report with f, and reports progress if that is due.
func (c *Collector) Count(f func(*Report)) {
	c.mu.Lock()
	f(&c.report)
	c.mu.Unlock()
	c.progress(false)
}

// snapshot returns the report so far.
func (c *Collector) snapshot() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.report
	r.Duration, r.Requests = time.Since(r.Started), c.throttled.requests.Load()
	return r
}

// progress calls Options.Progress if always is set or a second has passed since the last call.
// Without always, it does not wait for a call that is running.
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

// eachRepository calls f for each repository that has content, whether it is in the catalog or not.
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
		if repo := objectkey.Unescape(name); reference.CheckName(repo) == nil {
			if err := f(ctx, c.objects.Repo(repo)); err != nil {
				return fmt.Errorf("storage: collecting %s: %w", repo, err)
			}
		}
		after = object.ContentPrefix + name + "0" // "0" follows "/"
	}
}

// collectRepositories removes the repositories without content from the catalog.
func (c *Collector) collectRepositories(ctx context.Context) error {
	for info, err := range c.objects.Driver.List(ctx, object.RepositoryPrefix, nil) {
		if err != nil {
			return object.RegistryError(err)
		}
		name := objectkey.Unescape(info.Key[len(object.RepositoryPrefix):])
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
			// A push may have found the repository in the catalog just before it was removed from
			// there.
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

// isNonEmpty reports whether the repository has content.
func (c *Collector) isNonEmpty(ctx context.Context, repo object.Repo) (bool, error) {
	for _, err := range c.objects.Driver.List(ctx, repo.RepoPrefix(), &driver.ListOptions{KeysOnly: true, PageHint: 1}) {
		return err == nil, object.RegistryError(err)
	}
	return false, nil
}

// ensureCataloged puts a repository with a manifest back into the catalog. It leaves the record of
// a delete that is in progress alone.
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
	return repo.EndEpoch(ctx, "", object.AnythingDeleted, nil) // the new record does not know what was deleted
}
