package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// State is what is known of a job. Times are by the clocks of the replicas that ran the job.
type State struct {
	// Name is Job.Name.
	Name string
	// Here reports whether the Runner that made this State can run the job.
	Here bool
	// Every is Job.Every. For a job that this Runner cannot run, it is that of the last run.
	Every time.Duration

	// Running reports whether a run is going on, as far as clocks agree: a run of another replica
	// that has died counts for the time of its lease.
	Running bool
	// Holder is the Options.Holder of the present or last run.
	Holder string
	// Started is when the present or last run began, or zero if there was none.
	Started time.Time
	// Progress is the last progress of the present or last run, or nil.
	Progress json.RawMessage
	// Requested is when a run was requested that has not begun yet, or zero.
	Requested time.Time

	// Ended is when the last run ended that did end, or zero.
	Ended time.Time
	// Result is what the run that ended at Ended returned, or nil.
	Result json.RawMessage
	// Error is the error of that run, cut after 2 KiB, or "".
	Error string
	// Failures is the number of runs that have failed since one succeeded.
	Failures int
	// Next is when the next run is due. It may have passed: then the job runs soon, if a replica
	// that has it is alive. It is zero if the job is running, or runs only on request.
	Next time.Time
}

// List returns the states of all jobs, by name: those that the storage has a state of, whichever
// replicas run them, and those of this Runner. It makes one request for each thousand jobs, and one
// for each job.
//
// Errors: any error of the driver.
func (r *Runner) List(ctx context.Context) ([]State, error) {
	states := map[string]State{}
	for name, j := range r.jobs {
		states[name] = j.state(&record{})
	}
	for info, err := range r.driver.List(ctx, prefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(info.Key, prefix)
		if !validName(name) {
			continue
		}
		rec, _, err := read(ctx, r.driver, info.Key, "")
		switch {
		case errors.Is(err, driver.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		}
		if j := r.jobs[name]; j != nil {
			states[name] = j.state(rec)
		} else {
			states[name] = stateOf(name, rec, time.Duration(rec.Every))
		}
	}
	list := make([]State, 0, len(states))
	for _, s := range states {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// state returns the state of a job of this Runner. If the job runs in this process, its progress is
// the latest.
func (j *job) state(rec *record) State {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.end == nil {
		s := stateOf(j.Name, rec, j.Every)
		s.Here = true
		return s
	}
	run := j.record
	if rec.Run == run.Run {
		run.Start = rec.Start
	}
	run.Progress, run.Until = j.live.get(), time.Now().Add(j.lease)
	s := stateOf(j.Name, &run, j.Every)
	s.Here = true
	return s
}

// stateOf returns what rec says about a job.
func stateOf(name string, rec *record, every time.Duration) State {
	now := time.Now()
	s := State{
		Name: name, Every: every, Running: rec.Until.After(now), Holder: rec.Holder, Started: rec.Started,
		Progress: rec.Progress, Ended: rec.Ended, Result: rec.Result, Error: rec.Error, Failures: rec.Failures,
	}
	if s.Ended.IsZero() {
		s.Ended = rec.Done // an earlier version has written only that
	}
	if rec.damaged {
		s.Error = "jobs: the state of the job is damaged"
	}
	if rec.held() && rec.Run != "" && !s.Running {
		s.Error = errDied.Error()
	}
	if rec.Start != nil {
		s.Requested = rec.Start.Time
	}
	if s.Running {
		return s
	}
	idle := *rec
	idle.Until = time.Time{}
	if wait := idle.waitForNext(every, now); wait != never {
		s.Next = now.Add(wait).UTC()
	}
	return s
}
