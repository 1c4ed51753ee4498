package evict

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// JobName is the name of the job that evicts, see package jobs.
const JobName = "mirror-evict"

// Defaults of [Options].
const (
	DefaultInterval = 5 * time.Minute
	DefaultMinAge   = 10 * time.Minute
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Prefixes are the prefixes of the mirrored repositories: the repositories "docker.io/…" for
	// "docker.io". Default: none, nothing is mirrored.
	Prefixes []string
	// MaxSize is the maximum size of the mirrored repositories in bytes, as the package comment
	// defines it. Default: 0, no limit: the size is only measured.
	MaxSize int64
	// Target is the size in bytes down to which a run evicts once MaxSize is exceeded, so that not
	// every run has to. Default: nine tenths of MaxSize.
	Target int64
	// MinAge is the time for which nothing is evicted that was fetched or pulled. It must be more
	// than twice the Interval of the pull times, so that the pulls of other replicas are known by
	// then. Default: DefaultMinAge, 10 minutes. Negative means no such time.
	MinAge time.Duration
	// Interval is the time between two runs. Default: DefaultInterval, 5 minutes.
	Interval time.Duration
	// Collect removes blobs that no manifest names and bytes that no repository has. Default:
	// Store.Collect, with the grace periods of the package comment. A host whose storage must not be
	// collected beside other processes (storage.ErrSingleProcess) has to give one.
	Collect func(ctx context.Context) error
	// Holder names this process in the state of the job. Default: that of package jobs.
	Holder string
	// Logger receives what is evicted, and failures. Default: nothing is logged.
	Logger *slog.Logger
}

// Evictor evicts mirrored images. It is safe for concurrent use. Any number of Evictors, in any
// number of processes, may work on one storage.
type Evictor struct {
	store  *storage.Store
	driver driver.Driver
	pulls  *pulltime.Recorder
	opts   Options
	log    *slog.Logger

	running chan struct{} // holds an element while Evict runs, which uses the cache
	cache   *cache

	reading readings

	mu    sync.Mutex
	stats Stats
}

// Stats are the results of all Evictors of a storage.
type Stats struct {
	// Size is the size of the mirrored repositories in bytes, as of SizeAt. It is zero before the
	// first run.
	Size   int64
	SizeAt time.Time
	// Evicted and Images are the bytes and the units that were evicted since the storage exists.
	Evicted, Images int64
	// LastRun is when a run last ended. Error is its error, or "".
	LastRun time.Time
	Error   string
}

// New returns an Evictor of a store. d is the driver of the store. pulls has the pull times; if it
// is nil, the time at which an image was fetched counts. New makes no request and starts nothing,
// see [Evictor.Run]. opts may be nil.
//
// Errors: an error for an invalid option.
func New(store *storage.Store, d driver.Driver, pulls *pulltime.Recorder, opts *Options) (*Evictor, error) {
	if store == nil || d == nil {
		return nil, errors.New("evict: no store or no driver")
	}
	e := &Evictor{
		store: store, driver: d, pulls: pulls, opts: options.Value(opts), log: slog.New(slog.DiscardHandler),
		running: make(chan struct{}, 1), cache: newCache(), reading: readings{of: map[reading]int{}},
	}
	o := &e.opts
	options.Default(&o.Target, o.MaxSize-o.MaxSize/10)
	options.Default(&o.MinAge, DefaultMinAge)
	options.Default(&o.Interval, DefaultInterval)
	if o.MaxSize < 0 || o.Target < 0 || o.Target > o.MaxSize || o.Interval < 0 {
		return nil, errors.New("evict: a size or the interval is negative, or Target exceeds MaxSize")
	}
	for _, p := range o.Prefixes {
		if err := reference.CheckName(p); err != nil {
			return nil, err
		}
	}
	// A prefix below another one would count its repositories twice.
	o.Prefixes = slices.Compact(slices.Sorted(slices.Values(o.Prefixes)))
	o.Prefixes = slices.DeleteFunc(o.Prefixes, e.mirrored)
	if o.Collect == nil {
		o.Collect = e.collect
	}
	if o.Logger != nil {
		e.log = o.Logger
	}
	return e, nil
}

// mirrored reports whether a repository is below one of Options.Prefixes.
func (e *Evictor) mirrored(repo string) bool {
	for _, p := range e.opts.Prefixes {
		if len(repo) > len(p) && repo[len(p)] == '/' && strings.HasPrefix(repo, p) {
			return true
		}
	}
	return false
}

// collect is the default of Options.Collect.
func (e *Evictor) collect(ctx context.Context) error {
	_, err := e.store.Collect(ctx, &storage.CollectOptions{
		GraceFor: func(repo string, d digest.Digest) time.Duration {
			switch {
			case !e.mirrored(repo):
				return 0 // that of the store
			case e.reading.has(repo, d):
				return math.MaxInt64
			}
			return e.opts.MinAge
		},
		DataGrace: e.opts.MinAge,
	})
	return err
}

// Run evicts whenever that is due and no other replica does, until ctx ends. It also lets other
// replicas know what is being read for long, and keeps Stats fresh.
//
// Errors: the error of ctx.
func (e *Evictor) Run(ctx context.Context) error {
	r, err := jobs.New(e.driver, &jobs.Options{Jobs: []jobs.Job{e.Job()}, Holder: e.opts.Holder, Poll: jobPoll})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() { e.attend(ctx) })
	err = r.Run(ctx)
	cancel()
	all.Wait()
	return err
}

const (
	// jobPoll is how often Run looks for requests to start the job.
	jobPoll = time.Minute
	// attendEvery is how often a long read is noted as a pull.
	attendEvery = 2 * time.Minute
)

// attend notes what is being read as pulled now and then, and reads the results of other replicas.
func (e *Evictor) attend(ctx context.Context) {
	touch, look := time.NewTicker(attendEvery), time.NewTicker(e.opts.Interval)
	defer touch.Stop()
	defer look.Stop()
	for {
		if err := e.refreshStats(ctx); err != nil && ctx.Err() == nil {
			e.log.WarnContext(ctx, "reading the size of the mirror", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-touch.C:
			e.touchReadings()
			continue
		case <-look.C:
		}
	}
}

// Job returns the job that Run runs, for a host with a [jobs.Runner] of its own. Long reads are
// then known to this process only.
func (e *Evictor) Job() jobs.Job {
	return jobs.Job{
		Name: JobName, Every: e.opts.Interval,
		Run: func(ctx context.Context, _ *jobs.Progress) (any, error) {
			r, err := e.run(ctx, false)
			if r == nil {
				return nil, err
			}
			return r, err
		},
		Done: func(_ any, err error) {
			if err != nil && !errors.Is(err, context.Canceled) {
				e.log.Error("evicting from the mirror", "error", err)
			}
		},
		// Two runs at once choose the same images. Only a run can end the lack of space.
		FreesSpace: true,
	}
}

// Stats returns the results, as of the last run or, in a process that does not evict, as of the
// last look of Run. It makes no request.
func (e *Evictor) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}
