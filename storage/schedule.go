package storage

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage/internal/object"
)

// CollectJobName is the name of the job of [Store.CollectEvery] and [Store.CollectJob].
const CollectJobName = "collect"

// defaultEvery is the default of ScheduleOptions.Every.
const defaultEvery = 24 * time.Hour

// ScheduleOptions are the options of [Store.CollectEvery] and [Store.CollectJob]. nil means the
// zero ScheduleOptions.
type ScheduleOptions struct {
	// Every is the time from the end of one collection to the start of the next, whichever
	// processes run them. Default: 24 hours. A negative value is an error.
	Every time.Duration
	// Collect are the options of each collection. With DryRun, old history is removed all the same.
	Collect CollectOptions
	// Done is called after each collection of this process with its report and its error. The
	// report is nil if the collection did not start. CollectEvery waits until Done returns.
	// Default: nil, the results are discarded.
	Done func(*CollectReport, error)
}

// CollectEvery runs [Store.ExpireHistory] and then [Store.Collect] periodically, until ctx ends.
// opts may be nil. Start it in a goroutine on every replica: processes that share a storage take
// turns under a lease, and only its holder collects. When the holder dies, another process takes
// over within a minute or so.
//
// A collection that fails is reported to ScheduleOptions.Done, and CollectEvery tries again later.
// It also keeps a small reserve of space in the storage, so that collections and deletes can still
// write when the storage is full.
//
// It is a [jobs.Runner] with one job. A program that has more jobs, or wants to start collections on
// request within seconds, uses [Store.CollectJob] instead.
//
// Errors: the error of ctx when it ends; at once, ErrSingleProcess, or an error for an invalid
// option.
func (s *Store) CollectEvery(ctx context.Context, opts *ScheduleOptions) error {
	job, err := s.CollectJob(opts)
	if err != nil {
		return err
	}
	r, err := jobs.New(job.Driver, &jobs.Options{Jobs: []jobs.Job{job}, Poll: collectPoll})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

// collectPoll is how often CollectEvery looks for requests. A collection on request is rarely
// urgent, and each look is a request to the storage.
const collectPoll = time.Minute

// CollectJob returns the job that [Store.CollectEvery] runs, for a [jobs.Runner] on the driver of
// the Store. opts may be nil. The result of the job has the main numbers of the report, and its
// progress has those so far.
//
// Errors: ErrSingleProcess, or an error for an invalid option.
func (s *Store) CollectJob(opts *ScheduleOptions) (jobs.Job, error) {
	o := options.Value(opts)
	if o.Every < 0 {
		return jobs.Job{}, errors.New("storage: ScheduleOptions.Every is negative")
	}
	if o.Every == 0 {
		o.Every = defaultEvery
	}
	if _, err := s.collectOptions(&o.Collect); err != nil {
		return jobs.Job{}, err
	}
	job := jobs.Job{
		Name: CollectJobName, Every: o.Every,
		Run: func(ctx context.Context, p *jobs.Progress) (any, error) { return s.collectOnce(ctx, o.Collect, p) },
		// Collections are safe beside each other, and only a collection can end the lack of space.
		KeepGoing: true, FreesSpace: true,
		Driver: s.objects.WithReserve().Driver,
	}
	if o.Done != nil {
		job.Done = func(result any, err error) {
			summary, _ := result.(collectSummary) // the zero summary if the collection did not start
			o.Done(summary.report, object.RegistryError(err))
		}
	}
	return job, nil
}

// collectOnce expires the history, collects, and restores the reserve. The result is a
// collectSummary, or nil if the collection did not start.
func (s *Store) collectOnce(ctx context.Context, o CollectOptions, p *jobs.Progress) (any, error) {
	if _, err := s.ExpireHistory(ctx); err != nil {
		return nil, err
	}
	progress := o.Progress
	o.Progress = func(r CollectReport) {
		p.Set(collectSummary{&r})
		if progress != nil {
			progress(r)
		}
	}
	r, err := s.Collect(ctx, &o)
	if r == nil {
		return nil, err
	}
	if err == nil && !o.DryRun {
		s.objects.KeepReserve(ctx)
	}
	return collectSummary{r}, err
}

// collectSummary is a report whose JSON form has the main numbers, for the state of the job.
type collectSummary struct{ report *CollectReport }

// MarshalJSON implements json.Marshaler.
func (c collectSummary) MarshalJSON() ([]byte, error) {
	r := c.report
	return json.Marshal(struct {
		DryRun       bool    `json:"dryRun,omitempty"`
		Seconds      float64 `json:"seconds"`
		Requests     int64   `json:"requests"`
		Repositories int64   `json:"repositories"`
		Manifests    int64   `json:"manifests"`
		Blobs        int64   `json:"blobs"`
		Bytes        int64   `json:"bytes"`
		RemovedBlobs int64   `json:"removedBlobs"`
		RemovedBytes int64   `json:"removedBytes"`
		Untagged     int64   `json:"removedUntagged"`
		Uploads      int64   `json:"removedUploads"`
	}{r.DryRun, r.Duration.Seconds(), r.Requests, r.Repositories, r.Manifests, r.Blobs, r.DataBytes,
		r.Removed.Blobs, r.Removed.DataBytes, r.Removed.Untagged, r.Removed.Uploads})
}
