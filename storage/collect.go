package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/gc"
	"github.com/registrykit/registry/storage/internal/object"
)

// CollectOptions are the options of [Store.Collect]. nil means the zero CollectOptions, which suit
// a storage in use.
type CollectOptions struct {
	// Grace is how old unreferenced content must be before it is removed. Default: Options.Grace.
	// Negative means any age.
	//
	// Use a shorter grace period than Options.Grace only while nothing is pushed. It never removes
	// what a manifest in a repository names. But it removes blobs whose manifest has not arrived
	// yet: that push is refused, and the client must send the blobs and the manifest again. If
	// Options.Grace is shorter than two minutes, the Store protects the content of a refused push
	// for one minute, so that the second attempt succeeds. Otherwise it relies on Options.Grace,
	// and a collection with a shorter grace period can have the push refused again.
	Grace time.Duration
	// GraceFor returns the grace period of a blob in a repository, instead of Grace. Zero means
	// Grace, and negative any age. It is for repositories that nobody pushes to, such as those of a
	// mirror: a blob whose manifest has not arrived yet is fetched again there. It is called for
	// each blob that no manifest of its repository names, from several goroutines. Default: nil,
	// Grace for all blobs.
	GraceFor func(repo string, d digest.Digest) time.Duration
	// DataGrace is how old bytes must be that no repository has, and no upload. The age counts from
	// when they were written. Pushes do not need a grace period here: they keep their bytes by their
	// upload and then by their blob, whatever the age. At worst, at this very moment, a mount of the
	// bytes finds no blob, or an upload whose first bytes took longer than DataGrace must begin
	// again. But a client that is still reading a blob that was deleted may be cut off. Default: 0,
	// which means Grace. Negative means any age.
	DataGrace time.Duration
	// Untagged also removes untagged manifests: manifests that no tag points at, that no other
	// manifest of the repository names, and that are not referrers of a manifest in the repository.
	// What only they have named is removed too, partly by the next collection. Default: false, they
	// stay.
	Untagged bool
	// DryRun removes nothing, and counts what would be removed. It does not count what would become
	// unreferenced by a removal.
	DryRun bool
	// Exclusive allows the collection of a storage that must not be collected while other processes
	// use it, see [driver.SingleProcess]. Set it only if no other process uses the storage.
	// Default: false, Collect returns ErrSingleProcess for such a storage.
	Exclusive bool
	// Parallel is the maximum number of requests to the storage at a time. Default: 16. A negative
	// value is an error.
	Parallel int
	// Rate is the maximum number of requests to the storage per second. Default: 0, which means no
	// limit. A negative value is an error.
	Rate int
	// Memory is the maximum size of the sets that hold what must be kept, in bytes. A blob takes
	// about twelve bytes. With more blobs than fit, a collection is safe but removes less. Default:
	// 64 MiB, for about five million blobs. A negative value is an error.
	Memory int
	// Progress is called about once a second, and at the end of each step, with the counts so far.
	// The calls come from several goroutines, but only one at a time. Default: nil, no calls.
	Progress func(CollectReport)
}

// CollectReport describes a collection: what it has found and what it has removed.
type CollectReport struct {
	// DryRun reports that nothing was removed, see CollectOptions.DryRun.
	DryRun bool
	// Started is when the collection began, by the clock of this process. Duration is how long it
	// took.
	Started  time.Time
	Duration time.Duration
	// Requests is the number of requests to the storage. A list counts as one request for each
	// thousand elements.
	Requests int64
	// Repositories, Manifests, Blobs, Data and DataBytes count what was found. Blobs counts a blob
	// once for each repository that has it. Data counts the objects with the bytes of blobs, and
	// DataBytes their size.
	Repositories, Manifests, Blobs, Data, DataBytes int64
	// Removed counts what was removed.
	Removed CollectCounts
}

// CollectCounts counts what a collection has removed.
type CollectCounts struct {
	// Uploads counts uploads without a request for Options.UploadTTL.
	Uploads int64
	// Pending counts manifests whose push died before they were visible.
	Pending int64
	// Untagged counts untagged manifests, see CollectOptions.Untagged.
	Untagged int64
	// Blobs counts blobs that no manifest of their repository names, once for each repository.
	Blobs int64
	// Data counts objects with the bytes of blobs that no repository has, and DataBytes their size.
	Data, DataBytes int64
	// Pointers counts tags, back references, entries of referrers, and entries of the blob index
	// that led to nothing. A hint of a referrer counts only if an older version of this package
	// removed the entry without its hint.
	Pointers int64
	// Repositories counts empty repositories, and repositories whose interrupted delete was
	// finished.
	Repositories int64
}

// ErrSingleProcess is returned by Collect and CollectEvery, wrapped with the reason, if the storage
// must not be collected while other processes use it. See CollectOptions.Exclusive.
var ErrSingleProcess = errors.New("storage: other processes may use this storage, which makes a collection unsafe")

// Collect runs one garbage collection. It removes blobs that no manifest of their repository names,
// bytes that no repository has, and the remains of pushes, uploads and deletes that died. opts may
// be nil. It can run on any replica while clients push, pull and delete, and while other
// collections run.
//
// Collect stops when ctx ends; the next collection finishes what it has left. The report counts
// what was done before an error. It is nil only if the collection did not start.
//
// Errors: ErrSingleProcess; an error if Parallel, Rate or Memory is negative; any error of a read,
// because nothing is removed on doubt.
func (s *Store) Collect(ctx context.Context, opts *CollectOptions) (*CollectReport, error) {
	o, err := s.collectOptions(opts)
	if err != nil {
		return nil, err
	}
	c := gc.New(s.objects, o)
	err = s.collect(ctx, c, o)
	r := collectReport(c.Finish())
	return &r, err
}

// collect runs the steps of a collection that need operations of a Store, and then those of package
// gc.
func (s *Store) collect(ctx context.Context, c *gc.Collector, opts gc.Options) error {
	for info, err := range s.expiredUploads(ctx, c.Objects()) {
		ended := opts.DryRun
		if err == nil && !ended {
			ended, err = s.expire(ctx, c.Objects(), info)
		}
		if err != nil {
			return err
		}
		if ended {
			c.Count(func(r *gc.Report) { r.Removed.Uploads++ })
		}
	}
	if !opts.DryRun {
		if err := s.sweepUploads(ctx, c.Objects()); err != nil {
			return err
		}
	}
	if err := s.finishDeletes(ctx, c, opts); err != nil {
		return err
	}
	return c.Run(ctx)
}

// collectOptions checks opts, which may be nil, and fills in the defaults.
//
// Errors: ErrSingleProcess; an error if Parallel, Rate or Memory is negative.
func (s *Store) collectOptions(opts *CollectOptions) (gc.Options, error) {
	o := options.Value(opts)
	if c, ok := s.objects.Driver.(driver.SingleProcess); ok && !o.Exclusive {
		if reason := c.SingleProcess(); reason != "" {
			return gc.Options{}, fmt.Errorf("%w: %s", ErrSingleProcess, reason)
		}
	}
	if o.Grace == 0 {
		o.Grace = s.opts.Grace
	}
	if o.Parallel == 0 {
		o.Parallel = object.Parallelism
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	if o.Parallel < 0 || o.Rate < 0 || o.Memory < 0 {
		return gc.Options{}, errors.New("storage: Parallel, Rate or Memory in CollectOptions is negative")
	}
	if o.DataGrace == 0 {
		o.DataGrace = o.Grace
	}
	g := gc.Options{
		Grace: o.Grace, GraceFor: o.GraceFor, DataGrace: o.DataGrace, Untagged: o.Untagged,
		DryRun: o.DryRun, Parallel: o.Parallel, Rate: o.Rate, Memory: o.Memory,
	}
	if o.Progress != nil {
		g.Progress = func(r gc.Report) { o.Progress(collectReport(r)) }
	}
	return g, nil
}

// defaultMemory is the default of CollectOptions.Memory.
const defaultMemory = 64 << 20

func collectReport(r gc.Report) CollectReport {
	return CollectReport{
		DryRun: r.DryRun, Started: r.Started, Duration: r.Duration, Requests: r.Requests,
		Repositories: r.Repositories, Manifests: r.Manifests, Blobs: r.Blobs, Data: r.Data, DataBytes: r.DataBytes,
		Removed: CollectCounts(r.Removed),
	}
}

// finishDeletes finishes interrupted deletes of repositories. A delete that a later push has
// cancelled is left alone.
func (s *Store) finishDeletes(ctx context.Context, c *gc.Collector, opts gc.Options) error {
	objects := c.Objects()
	plain, err := object.Encode(&object.Repository{Nonce: object.NewNonce()}, nil)
	if err != nil {
		return err
	}
	for info, err := range objects.Driver.List(ctx, object.RepositoryPrefix, nil) {
		if err != nil {
			return object.RegistryError(err)
		}
		name := objectkey.Unescape(info.Key[len(object.RepositoryPrefix):])
		if info.Size <= int64(len(plain)) || reference.CheckName(name) != nil {
			continue
		}
		r := repo{Repo: objects.Repo(name), store: s}
		record, err := r.ReadRepository(ctx)
		if err != nil {
			return err
		}
		if record.Deleting == nil {
			continue
		}
		if !opts.DryRun {
			err := r.finishDelete(ctx, record)
			if errors.Is(err, errPushed) {
				continue
			}
			if err != nil && !errors.Is(err, registry.ErrNameUnknown) {
				return err
			}
		}
		c.Count(func(r *gc.Report) { r.Removed.Repositories++ })
	}
	return nil
}
