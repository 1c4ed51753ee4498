package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

// Defaults and limits.
const (
	// DefaultLease is the default of Options.Lease.
	DefaultLease = time.Minute
	// DefaultPoll is the default of Options.Poll.
	DefaultPoll = 5 * time.Second
	// MaxSize is the maximum size of a result and of a progress, each in JSON, in bytes.
	MaxSize = 16 << 10
)

// Job is a function that runs in the background, on one replica at a time.
type Job struct {
	// Name identifies the job among all jobs of the storage. It has up to 64 characters: lower-case
	// letters, digits, "-", "_" and ".", and begins with a letter or digit. "collect" is the name
	// of the collections of storage.Store.
	Name string
	// Every is the time from the end of one run to the start of the next, whichever replicas run
	// them. After a failed run, it is at most a minute, then two minutes, four, and up to an hour.
	// Default: 0, the job runs only on request, see [Runner.Start]. A negative value is an error.
	Every time.Duration
	// Run does the work. It must return soon after ctx has ended: the cause of ctx is then
	// ErrCanceled or ErrLost, or the context of [Runner.Run] has ended. The result may be nil, and
	// otherwise must have a JSON form of at most MaxSize. Other replicas and callers that may
	// list the jobs see it: leave secrets out. A panic is contained, and becomes a *PanicError.
	Run func(ctx context.Context, p *Progress) (result any, err error)
	// Done is called after each run in this process, with what Run returned. err also contains the
	// failure to record the end of the run. Done is also called, with a nil result, when the state
	// of the job cannot be read or the lease cannot be written; the Runner tries again later. The
	// job does not run again before Done returns. Default: nil.
	Done func(result any, err error)
	// KeepGoing lets a run continue when its lease is lost. It is for jobs of which two runs at
	// once do no harm. Default: false, the context of the run is cancelled.
	KeepGoing bool
	// FreesSpace runs the job without a lease if the storage is too full for the lease to be
	// written. It is for jobs of which two runs at once do no harm. Default: false, the job does not
	// run.
	FreesSpace bool
	// Driver stores the state of the job. It must have the same content as the driver of the
	// Runner, and may use space that is reserved for the job. Default: the driver of the Runner.
	Driver driver.Driver
}

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Jobs are the jobs that this process may run. Default: none, for a process that only lists,
	// starts and cancels jobs.
	Jobs []Job
	// Holder is the name of this process in the states of its jobs. Default: the name of the host
	// and the number of the process.
	Holder string
	// Lease is how long another replica waits for a sign of life before it takes a job over.
	// Default: DefaultLease, one minute; for a job whose interval is shorter, the interval, but at
	// least five seconds. Less than a second is an error.
	Lease time.Duration
	// Poll is the time between two looks for requests of other processes, which [Runner.Start] and
	// [Runner.Cancel] have made. Default: DefaultPoll, five seconds. A negative value is an error.
	Poll time.Duration
}

// Runner runs jobs and reports on them. It is safe for concurrent use.
type Runner struct {
	driver driver.Driver
	opts   Options
	jobs   map[string]*job

	mu      sync.Mutex
	running bool // Run has been called and has not returned
}

// New returns a Runner for the jobs in opts. It makes no request and starts nothing, see
// [Runner.Run]. opts may be nil. d is the storage of the registry.
//
// Errors: an error for a name that is invalid or used twice, for a Job without Run, and for an
// invalid option.
func New(d driver.Driver, opts *Options) (*Runner, error) {
	if d == nil {
		return nil, errors.New("jobs: no driver")
	}
	r := &Runner{driver: d, opts: options.Value(opts), jobs: map[string]*job{}}
	o := &r.opts
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.Poll == 0 {
		o.Poll = DefaultPoll
	}
	if o.Lease < time.Second || o.Poll < 0 {
		return nil, errors.New("jobs: Options.Lease is less than a second, or Options.Poll is negative")
	}
	if o.Holder == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown"
		}
		o.Holder = fmt.Sprintf("%s/%d", host, os.Getpid())
	}
	for _, j := range o.Jobs {
		switch {
		case !validName(j.Name):
			return nil, fmt.Errorf("jobs: invalid name of a job: %q", j.Name)
		case r.jobs[j.Name] != nil:
			return nil, fmt.Errorf("jobs: two jobs are named %q", j.Name)
		case j.Run == nil || j.Every < 0:
			return nil, fmt.Errorf("jobs: %s: Run is missing, or Every is negative", j.Name)
		}
		r.jobs[j.Name] = newJob(r, j)
	}
	return r, nil
}

// Run runs the jobs of this process whenever they are due and no other replica runs them, each in a
// goroutine of its own. It returns when ctx has ended and all runs have returned.
//
// Errors: the error of ctx; at once, an error if Run is being executed already.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	twice := r.running
	r.running = true
	r.mu.Unlock()
	if twice {
		return errors.New("jobs: Run is being executed already")
	}
	var all sync.WaitGroup
	for _, j := range r.jobs {
		all.Go(func() { j.loop(ctx) })
	}
	all.Go(func() { r.poll(ctx) })
	all.Wait()
	r.mu.Lock()
	r.running = false
	r.mu.Unlock()
	return ctx.Err()
}

// validName reports whether name is the name of a job. The names of other objects beside those of
// jobs contain a "~".
func validName(name string) bool {
	for i, c := range []byte(name) {
		inner := c == '-' || c == '_' || c == '.'
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && (i == 0 || !inner) {
			return false
		}
	}
	return name != "" && len(name) <= 64
}
