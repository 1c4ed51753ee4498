package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/gc"
	"github.com/registrykit/registry/storage/internal/object"
)

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
	o, err := s.collectOptions(opts)
	if err != nil {
		return nil, err
	}
	c := gc.New(s.objects, o)
	err = s.collect(ctx, c, o)
	r := collectReport(c.Finish())
	return &r, err
}

// collect runs a collection: first the steps that need more than single objects.
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

// collectOptions returns what opts, which may be nil, means for a collection.
//
// Errors: ErrSingleProcess; an error if an option is negative.
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
		return gc.Options{}, errors.New("storage: an option of Collect is negative")
	}
	g := gc.Options{
		Grace: o.Grace, Untagged: o.Untagged, DryRun: o.DryRun, Parallel: o.Parallel, Rate: o.Rate, Memory: o.Memory,
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

// finishDeletes finishes deletes of whole repositories that were interrupted.
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
		name := object.Unescape(info.Key[len(object.RepositoryPrefix):])
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
