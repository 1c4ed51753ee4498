package jobs

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

const (
	// maxLook is the maximum time between two looks at the record of a job.
	maxLook = time.Hour
	// maxRetry is the maximum time to wait after the storage has failed.
	maxRetry = time.Minute
	// minLease is the minimum of the lease of a job with a short interval.
	minLease = 5 * time.Second
)

// job is a job of a Runner. The fields below wake belong to the goroutine of its loop.
type job struct {
	Job
	runner *Runner
	driver driver.Driver
	key    string
	lease  time.Duration
	wake   chan struct{} // something was requested

	version string    // of rec; "" if there is no object
	rec     *record   // as this process has read or written it last; nil at first
	ready   time.Time // when a run may start if the record still has that version
	idle    bool      // no run may start while it has that version
	unsaved *held     // a run that has ended, and whose end is not recorded yet

	mu     sync.Mutex
	end    context.CancelCauseFunc // ends the run in this process; nil if there is none
	record record                  // of that run
	live   *Progress               // of that run
}

func newJob(r *Runner, spec Job) *job {
	j := &job{
		Job: spec, runner: r, driver: spec.Driver, key: prefix + spec.Name,
		lease: r.opts.Lease, wake: make(chan struct{}, 1),
	}
	if j.driver == nil {
		j.driver = r.driver
	}
	if j.Every > 0 {
		j.lease = min(j.lease, max(j.Every, minLease))
	}
	if j.Done == nil {
		j.Done = func(any, error) {}
	}
	return j
}

// notify makes the goroutine of the job look at its record.
func (j *job) notify() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// loop runs the job whenever it is due, until ctx ends.
func (j *job) loop(ctx context.Context) {
	for ctx.Err() == nil {
		wait, err := j.step(ctx)
		if err != nil && ctx.Err() == nil {
			j.Done(nil, err)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-j.wake:
		case <-t.C:
		}
		t.Stop()
	}
}

// step runs the job if it is due, and returns when to look again.
func (j *job) step(ctx context.Context) (time.Duration, error) {
	soon := maxRetry
	if j.Every > 0 {
		soon = min(soon, j.Every)
	}
	if j.unsaved != nil && !j.saveAgain(ctx) {
		return min(soon, j.lease/3), nil
	}
	if err := j.look(ctx); err != nil {
		return soon, err
	}
	if j.idle {
		return maxLook, nil
	}
	if wait := time.Until(j.ready); wait > 0 {
		return min(wait, maxLook), nil
	}
	h, err := j.take(ctx)
	switch {
	case err != nil:
		return soon, err
	case h == nil:
		return rand.N(10 * time.Millisecond), nil
	}
	j.run(ctx, h)
	return 0, nil
}

// look reads the record of the job, if it has changed, and works out when the job may run.
func (j *job) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	rec, version, err := read(ctx, j.driver, j.key, j.version)
	switch {
	case errors.Is(err, driver.ErrNotModified):
		return nil
	case errors.Is(err, driver.ErrNotExist) && j.rec != nil && j.version == "":
		return nil
	case errors.Is(err, driver.ErrNotExist) && j.Every == 0:
		return j.register(ctx)
	case errors.Is(err, driver.ErrNotExist):
		rec, version = &record{}, ""
	case err != nil:
		return err
	}
	j.saw(rec, version)
	return nil
}

// register writes the first record of a job that runs only on request, so that other processes can
// list and start it.
func (j *job) register(ctx context.Context) error {
	rec := &record{}
	version, err := write(ctx, j.driver, j.key, "", rec)
	if driver.IsConflict(err) { // another process has written it first
		rec, version, err = read(ctx, j.driver, j.key, "")
	}
	if err != nil {
		return err
	}
	j.saw(rec, version)
	return nil
}

// saw remembers a new version of the record, and works out when the job may run.
func (j *job) saw(rec *record, version string) {
	j.rec, j.version = rec, version
	wait := rec.wait(j.Every, time.Now())
	j.idle = wait == never
	j.ready = time.Now().Add(wait)
}

// outcome is what Run has returned.
type outcome struct {
	result any
	err    error
}

// call calls Run, and contains a panic.
func (j *job) call(ctx context.Context, p *Progress) (o outcome) {
	ended := false
	defer func() {
		if ended {
			return
		}
		value := recover() // nil if Run has called runtime.Goexit
		o = outcome{err: &PanicError{Value: value, Stack: debug.Stack()}}
	}()
	o.result, o.err = j.Run(ctx, p)
	ended = true
	return o
}

// run runs the job under the lease h, and records how the run ended.
func (j *job) run(ctx context.Context, h *held) {
	runCtx, end := context.WithCancelCause(ctx)
	defer end(nil)
	p := &Progress{}
	j.mu.Lock()
	j.end, j.record, j.live = end, h.rec, p
	j.mu.Unlock()

	ended := make(chan outcome, 1)
	go func() {
		o := outcome{err: &PanicError{Value: "Run called runtime.Goexit", Stack: debug.Stack()}}
		defer func() { ended <- o }()
		o = j.call(runCtx, p)
	}()
	o := h.keep(ctx, p, end, ended)
	err := h.finish(o, context.Cause(runCtx), ctx.Err() != nil, p)

	save, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(requestTimeout, j.lease))
	defer cancel()
	saved := j.saveEnd(save, h)
	if saved == nil && o.err != nil && ctx.Err() != nil {
		_ = j.runner.ring(save, j.Name) // another replica can run the job at once
	}
	j.mu.Lock()
	j.end, j.live = nil, nil
	j.mu.Unlock()
	j.Done(o.result, errors.Join(o.err, err, saved))
}

// finish writes into the record how the run ended.
//
// Errors: an error if the result cannot be recorded.
func (h *held) finish(o outcome, cause error, stopped bool, p *Progress) error {
	r, now := &h.rec, time.Now().UTC()
	result, err := encode(o.result)
	r.Until, r.Ended = time.Time{}, now
	r.Progress, r.Result, r.Error = p.get(), result, errorText(errors.Join(o.err, err))
	canceled := errors.Is(cause, ErrCanceled)
	switch {
	case o.err == nil || canceled:
		r.Done, r.Failures = now, 0
	case stopped: // the run is due still
	default:
		r.Failures++
	}
	if o.err != nil && !canceled && (stopped || errors.Is(cause, ErrLost)) && r.Start == nil {
		r.Start = r.Request // somebody waits for it
	}
	return err
}

// saveEnd writes the record of a run that has ended. If that fails, it is tried again later, unless
// another replica has begun a run.
func (j *job) saveEnd(ctx context.Context, h *held) error {
	if h.taken {
		return nil
	}
	err := h.save(ctx)
	switch {
	case err == nil:
		rec := h.rec
		j.saw(&rec, h.version)
	case h.unleased: // the record is as before, and says that the job is due
		j.saw(&h.rec, j.version)
		err = nil
	case h.taken:
		err = nil
	default:
		j.unsaved = h
	}
	return err
}

// saveAgain tries again to write the record of the last run, and reports whether that is settled.
func (j *job) saveAgain(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	h := j.unsaved
	j.unsaved = nil
	return j.saveEnd(ctx, h) == nil
}
