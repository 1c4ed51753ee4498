package scrub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// DefaultParallel is the default of Options.Parallel.
	DefaultParallel = 8
	// MaxFindings is the maximum length of Report.Findings.
	MaxFindings = 10_000
	// MaxErrors is the number of objects that cannot be read after which a run ends.
	MaxErrors = 100
)

// ErrUnreadable is returned by Run if content could not be read, for a reason other than that the
// storage is unavailable. The rest was checked. Report.Errors has the details.
var ErrUnreadable = errors.New("scrub: some content could not be read")

// Options are the options of [Run], [Mend] and [Job]. nil means the zero Options.
type Options struct {
	// Repair repairs what can be repaired, and quarantines the rest. Default: false, Run only reports.
	Repair bool
	// Source returns lost content from elsewhere, such as an upstream; see [FromBackend]. With Repair,
	// Run pushes it into the storage at its end. Default: nil, losses stay until clients push.
	Source Source
	// Rate is the maximum number of bytes read per second. Default: 0, no limit. A negative value is an
	// error.
	Rate int64
	// Requests is the maximum number of requests to the storage per second. Default: 0, no limit. A
	// negative value is an error.
	Requests int
	// Parallel is the maximum number of blobs that are read at the same time, and of other requests.
	// Default: DefaultParallel, 8. A negative value is an error.
	Parallel int
	// Settle is how long ago an object must have been written, by the clock of the storage, before a
	// reference that it lacks counts as missing, because a push writes several objects. Default:
	// storage.DefaultSettle, one minute. Negative means any age.
	Settle time.Duration
	// Restart begins from the start, although an earlier run was interrupted. Default: false, Run
	// continues such a run if it had the same Repair.
	Restart bool
	// ReadOnly writes nothing to the storage, not even where the run has come to: an interrupted run begins
	// again, also one that was interrupted before. It excludes Repair. Default: false.
	ReadOnly bool
	// Exclusive allows repairs in a storage whose conditions hold within one process only, see
	// driver.SingleProcess. Set it only if no other process uses the storage. Default: false, Run with
	// Repair returns storage.ErrSingleProcess for such a storage.
	Exclusive bool
	// Found is called for each finding at once, one call at a time. Default: nil.
	Found func(Finding)
	// Progress is called about once a second and at the end, one call at a time, with the report so far,
	// without its Findings. Default: nil.
	Progress func(Report)

	clock clock // of the limits; tests replace it
}

// Finding is one thing that is wrong. See storage.Damage for its fields and kinds.
type Finding = storage.Damage

// Loss is content that is not served because it is damaged or gone. See storage.Loss for its fields.
type Loss = storage.Loss

// Stage is what a run is doing.
type Stage string

// The stages of a run, in their order.
const (
	// StageRepositories checks records and references, repository by repository.
	StageRepositories Stage = "repositories"
	// StageBlobs reads the bytes of blobs.
	StageBlobs Stage = "blobs"
	// StageLosses looks which losses are over.
	StageLosses Stage = "losses"
)

// Report is what a run has found and done.
type Report struct {
	// Repair is Options.Repair.
	Repair bool `json:"repair"`
	// Started is when the run began, or the interrupted run that it continues, by the clock of that
	// process. Resumed reports whether it has continued one.
	Started time.Time `json:"started"`
	Resumed bool      `json:"resumed,omitempty"`
	// Seconds is how long the run took, without those that it continues.
	Seconds float64 `json:"seconds"`
	// Requests is the number of requests to the storage. A list counts as one for each thousand
	// elements.
	Requests int64 `json:"requests"`
	// Stage and At say where the run is: At is a repository, or the key of an entry of the index of
	// blobs.
	Stage Stage  `json:"stage"`
	At    string `json:"at,omitempty"`
	// Repositories, Manifests, Tags and Blobs count what was checked. A blob counts once for each
	// repository that has it.
	Repositories int64 `json:"repositories"`
	Manifests    int64 `json:"manifests"`
	Tags         int64 `json:"tags"`
	Blobs        int64 `json:"blobs"`
	// Content counts blobs and manifests whose bytes were compared with their digest, and Bytes their
	// bytes. BytesTotal is about how many there are; it includes bytes that no repository has.
	Content    int64 `json:"content"`
	Bytes      int64 `json:"bytes"`
	BytesTotal int64 `json:"bytesTotal"`
	// Damaged counts the findings. Repaired counts those that were repaired, or whose reference was
	// removed, and Quarantined those whose content is not served any more.
	Damaged     int64 `json:"damaged"`
	Repaired    int64 `json:"repaired"`
	Quarantined int64 `json:"quarantined"`
	// Lost is the number of losses at the end, of this run and of earlier ones. Mended is the number of
	// losses that are over.
	Lost   int64 `json:"lost"`
	Mended int64 `json:"mended"`
	// Findings are the findings, at most MaxFindings. A run that continues another one has at most
	// a thousand of that one.
	Findings []Finding `json:"findings,omitempty"`
	// Errors are about content that could not be read, or not be mended.
	Errors []string `json:"errors,omitempty"`
}

// Whole reports whether everything is as it should be at the end of a run: there is no damage that was
// not repaired, nothing is lost, and everything was read.
func (r *Report) Whole() bool {
	return r.Damaged == r.Repaired && r.Lost == 0 && len(r.Errors) == 0
}

// Run checks the storage of s, whose driver is d. opts may be nil. It continues a run that was
// interrupted. The report is nil only if the run did not start.
//
// Damage is no error.
//
// Errors: ErrUnreadable; storage.ErrSingleProcess; an error for an invalid option; the error of ctx,
// and any error of the driver, after which a further Run continues.
func Run(ctx context.Context, s *storage.Store, d driver.Driver, opts *Options) (*Report, error) {
	r, err := newRun(s, d, opts)
	if err != nil {
		return nil, err
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	err = r.stages(ctx)
	if err == nil {
		r.finish(ctx)
	} else {
		r.save(context.WithoutCancel(ctx))
	}
	report := r.snapshot(true)
	r.tell(true)
	if err == nil && r.unreadable {
		err = ErrUnreadable
	}
	return &report, err
}

// newRun returns a run that has not begun.
func newRun(s *storage.Store, d driver.Driver, opts *Options) (*run, error) {
	o := options.Value(opts)
	if s == nil || d == nil {
		return nil, errors.New("scrub: the store or the driver is nil")
	}
	if o.Rate < 0 || o.Requests < 0 || o.Parallel < 0 {
		return nil, errors.New("scrub: Options.Rate, Options.Requests or Options.Parallel is negative")
	}
	if o.ReadOnly && o.Repair {
		return nil, errors.New("scrub: ReadOnly excludes Repair")
	}
	options.Default(&o.Parallel, DefaultParallel)
	if one, ok := d.(driver.SingleProcess); ok && o.Repair && !o.Exclusive {
		if reason := one.SingleProcess(); reason != "" {
			return nil, fmt.Errorf("%w: %s", storage.ErrSingleProcess, reason)
		}
	}
	if o.clock.now == nil {
		o.clock = realClock
	}
	r := &run{store: s, opts: o, now: o.clock.now()}
	r.report = Report{Repair: o.Repair, Started: time.Now(), Stage: StageRepositories}
	r.driver = newThrottled(d, o)
	var err error
	r.check, err = s.Check(&storage.CheckOptions{
		Repair: o.Repair, Driver: r.driver, Parallel: o.Parallel, Settle: o.Settle,
		Found: r.found, Lost: r.lost, Counted: r.counted, Unreadable: r.cannotRead,
	})
	return r, err
}

// stages runs the stages, beginning with that of the report.
func (r *run) stages(ctx context.Context) error {
	if r.report.Stage == StageRepositories {
		if err := r.repositories(ctx); err != nil {
			return err
		}
		r.move(ctx, StageBlobs, "")
	}
	if r.report.Stage == StageBlobs {
		err := r.check.Blobs(ctx, r.report.At, func(after string) error {
			r.move(ctx, StageBlobs, after)
			return nil
		})
		if err != nil {
			return err
		}
		r.move(ctx, StageLosses, "")
	}
	return r.losses(ctx)
}

// repositories checks the records of all repositories.
func (r *run) repositories(ctx context.Context) error {
	for repo, err := range r.check.Repositories(ctx, r.report.At) {
		if err != nil {
			return err
		}
		if err := r.check.Repository(ctx, repo); err != nil {
			if ctx.Err() != nil || errors.Is(err, registry.ErrUnavailable) || errors.Is(err, driver.ErrUnavailable) {
				return err
			}
			if err := r.cannotRead(repo, "", err); err != nil {
				return err
			}
		}
		r.move(ctx, StageRepositories, repo)
	}
	return nil
}
