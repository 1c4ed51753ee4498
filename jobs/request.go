package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

// Start requests a run of the job now, on whichever replica comes first. It returns when the
// request is stored, and does not wait for the run. Replicas that have the job see the request
// within their Options.Poll. A request that waits already is enough. If the job is running, it runs
// once more when that run has ended.
//
// Errors: ErrUnknown; any error of the driver, after which the request may be stored: Start can be
// called again.
func (r *Runner) Start(ctx context.Context, name string) error {
	err := r.change(ctx, name, func(rec *record) error {
		if rec.Start != nil {
			return errUnchanged
		}
		rec.Start = &request{Time: time.Now().UTC()}
		return nil
	})
	if err != nil {
		return err
	}
	return r.ring(ctx, name)
}

// Cancel ends the present run of the job, and takes back a run that is requested. A run in this
// process ends at once, that of another replica within Options.Poll of that replica: its context is
// cancelled with ErrCanceled. Cancel does not wait for the end. The next scheduled run is not
// affected.
//
// Errors: ErrUnknown; ErrNotRunning; any error of the driver, after which the run may be cancelled.
func (r *Runner) Cancel(ctx context.Context, name string) error {
	here := r.jobs[name].cancel()
	err := r.change(ctx, name, func(rec *record) error {
		switch {
		case rec.held() && rec.Run != "" && rec.Cancel != rec.Run:
			rec.Cancel = rec.Run
		case rec.Start == nil && !here:
			return ErrNotRunning
		case rec.Start == nil:
			return errUnchanged
		}
		rec.Start = nil
		return nil
	})
	if err != nil {
		return err
	}
	return r.ring(ctx, name)
}

// cancel ends the run in this process, and reports whether there is one. j may be nil.
func (j *job) cancel() bool {
	if j == nil {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.end == nil {
		return false
	}
	j.end(ErrCanceled)
	return true
}

// errUnchanged is returned by the function given to change if there is nothing to write.
var errUnchanged = errors.New("jobs: nothing to change")

// change changes the record of a job on the version that it has read. If another process changes
// the record meanwhile, it reads it again.
func (r *Runner) change(ctx context.Context, name string, edit func(*record) error) error {
	if !validName(name) {
		return ErrUnknown
	}
	d := r.driver
	j := r.jobs[name]
	if j != nil {
		d = j.driver
	}
	const attempts = 30
	var err error
	for n := range attempts {
		if n > 0 {
			if err := pause.Sleep(ctx, mathrand.N(time.Millisecond<<min(n, 6))); err != nil {
				return err
			}
		}
		var rec *record
		var version string
		rec, version, err = read(ctx, d, prefix+name, "")
		switch {
		case errors.Is(err, driver.ErrNotExist) && j == nil:
			return ErrUnknown
		case errors.Is(err, driver.ErrNotExist):
			rec, version = &record{}, ""
		case err != nil:
			return err
		}
		if err = edit(rec); errors.Is(err, errUnchanged) {
			return nil
		} else if err != nil {
			return err
		}
		if _, err = write(ctx, d, prefix+name, version, rec); !driver.IsConflict(err) {
			return err
		}
	}
	return err
}

// ring changes the object that all replicas poll, so that they look at the records of their jobs.
// It follows the change of the record: a replica that sees the new object sees the record, too.
func (r *Runner) ring(ctx context.Context, name string) error {
	if j := r.jobs[name]; j != nil {
		j.notify()
	}
	_, err := r.driver.Put(ctx, bellKey, strings.NewReader(rand.Text()+"\n"),
		&driver.PutOptions{Durability: driver.Relaxed})
	return err
}

// poll makes the jobs of this process look at their records whenever somebody has rung.
func (r *Runner) poll(ctx context.Context) {
	// Nothing is known of requests from before the first look, so all jobs look after it.
	last := "unknown"
	for pause.Sleep(ctx, r.opts.Poll) == nil {
		look, cancel := context.WithTimeout(ctx, requestTimeout)
		info, err := r.driver.Stat(look, bellKey)
		cancel()
		if err != nil && !errors.Is(err, driver.ErrNotExist) || info.Version == last {
			continue
		}
		last = info.Version
		for _, j := range r.jobs {
			j.notify()
		}
	}
}
