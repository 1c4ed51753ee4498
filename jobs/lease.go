package jobs

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// requestTimeout is the maximum time of a request to the storage, except while a lease is held,
// which may end sooner.
const requestTimeout = 30 * time.Second

// held is the lease of one run, and the record as this process has written it last. Only the
// goroutine of the job uses it.
type held struct {
	job     *job
	version string
	rec     record
	// until is when another replica may take the lease, unless it is renewed: the lease time after
	// the last successful write was sent. The other replica counts from when it has seen that
	// write, which is later.
	until    time.Time
	unleased bool // the storage is full, and the run goes on without a lease
	taken    bool // another replica has taken the lease
}

// take begins a run: it writes the lease on the version of the record that was read last. It
// returns nil if another replica has changed the record first.
//
// Errors: any error of the driver.
func (j *job) take(ctx context.Context) (*held, error) {
	h := &held{job: j, version: j.version, rec: *j.rec}
	r := &h.rec
	if r.held() && r.Run != "" && r.Cancel != r.Run {
		r.Failures++ // its holder has died
		r.Ended, r.Result, r.Error = time.Now().UTC(), nil, errDied.Error()
	}
	r.Run, r.Holder = rand.Text(), j.runner.opts.Holder
	r.Lease, r.Every, r.Started = duration(j.lease), duration(j.Every), time.Now().UTC()
	r.Progress, r.Request, r.Start, r.Cancel = nil, r.Start, nil, ""
	r.Until = r.Started.Add(j.lease)

	ctx, cancel := context.WithTimeout(ctx, min(requestTimeout, j.lease))
	defer cancel()
	h.until = time.Now().Add(j.lease)
	version, err := write(ctx, j.driver, j.key, h.version, r)
	switch {
	case err == nil:
		h.version = version
		return h, nil
	case driver.IsConflict(err):
		return nil, nil
	case errors.Is(err, driver.ErrNoSpace) && j.FreesSpace:
		h.unleased = true
		return h, nil
	}
	// The response may be lost, and the lease taken.
	if h.adopt(ctx) == nil && h.version != j.version {
		return h, nil
	}
	return nil, err
}

// save writes the record of a run that this process has begun. Requests that others have written
// into it meanwhile stay.
//
// Errors: ErrLost if another replica has begun a run; any error of the driver.
func (h *held) save(ctx context.Context) error {
	const attempts = 10
	var err error
	for range attempts {
		var version string
		sent := time.Now()
		if version, err = write(ctx, h.job.driver, h.job.key, h.version, &h.rec); err == nil {
			h.version, h.until = version, sent.Add(h.job.lease)
			return nil
		}
		if !driver.IsConflict(err) {
			return err
		}
		if err = h.adopt(ctx); err != nil {
			return err
		}
	}
	return err
}

// adopt takes over what others have written into the record of this run: requests.
//
// Errors: ErrLost if it is the record of another run; any error of the driver.
func (h *held) adopt(ctx context.Context) error {
	rec, version, err := read(ctx, h.job.driver, h.job.key, h.version)
	switch {
	case errors.Is(err, driver.ErrNotModified):
		return nil
	case errors.Is(err, driver.ErrNotExist):
		h.version = "" // somebody has cleaned up
		return nil
	case err != nil:
		return err
	case rec.Run != h.rec.Run:
		h.taken = true
		return ErrLost
	}
	h.version, h.rec.Start, h.rec.Cancel = version, rec.Start, rec.Cancel
	return nil
}

// renew prolongs the lease. A failure is no error: the next attempt comes before the lease ends.
func (h *held) renew(ctx context.Context, p *Progress) {
	h.rec.Progress = p.get()
	h.rec.Until = time.Now().UTC().Add(h.job.lease)
	_ = h.save(ctx)
}

// keep holds the lease until the run ends, and returns its outcome. It calls end to end the run:
// on request, and when the lease is lost.
func (h *held) keep(ctx context.Context, p *Progress, end context.CancelCauseFunc, ended <-chan outcome) outcome {
	third := h.job.lease / 3
	next := time.Now().Add(third)
	for {
		renew, o := h.pause(next, ended)
		if o != nil {
			return *o
		}
		if h.unleased || h.taken {
			next = time.Now().Add(time.Hour) // nothing to renew
			continue
		}
		h.endIfLost(end)
		step, cancel := context.WithDeadline(context.WithoutCancel(ctx), h.within(third))
		if renew {
			h.renew(step, p)
			next = h.within(third)
		} else {
			_ = h.adopt(step) // a failure is found when the lease is renewed
		}
		cancel()
		h.endIfLost(end)
		if h.rec.Cancel == h.rec.Run {
			end(ErrCanceled)
		}
	}
}

// pause waits until it is time to renew the lease, and returns true; until something was requested,
// and returns false; or until the run ends, and returns its outcome.
func (h *held) pause(next time.Time, ended <-chan outcome) (renew bool, o *outcome) {
	t := time.NewTimer(time.Until(next))
	defer t.Stop()
	select {
	case o := <-ended:
		return false, &o
	case <-h.job.wake:
		return false, nil
	case <-t.C:
		return true, nil
	}
}

// endIfLost ends the run if the lease is lost and the job does not keep going.
func (h *held) endIfLost(end context.CancelCauseFunc) {
	if (h.taken || !time.Now().Before(h.lastMoment())) && !h.job.KeepGoing {
		end(ErrLost)
	}
}

// within returns the time d from now, or the last moment if that comes first: a storage that hangs
// must not keep the goroutine beyond it.
func (h *held) within(d time.Duration) time.Time {
	now := time.Now()
	if last := h.lastMoment(); last.After(now) && last.Before(now.Add(d)) {
		return last
	}
	return now.Add(d)
}

// lastMoment is when a run must end if its lease was not renewed. It leaves the run a tenth of the
// lease to return.
func (h *held) lastMoment() time.Time { return h.until.Add(-h.job.lease / 10) }
