package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
)

// JobName is the name of the job that [Planner.Job] returns.
const JobName = "retain"

// Job returns a job for a jobs.Runner that applies the rules of the Planner every so often, as Plan and
// Apply would, repository by repository. b is that of the identity that removes, as for [Planner.Apply].
// every is jobs.Job.Every.
//
// Before it removes anything of a repository, a run notes what goes. The next run completes what a run has
// left that was killed, as far as the rules still let it go. So two runs at once, a kill and a lost lease
// do no harm: each removal depends on the tag being as it was evaluated, and a manifest goes only if
// nothing leads to it.
//
// The result of a run, and its progress, is a [Result]. A run goes on after a repository that cannot be
// evaluated, and fails at the end with the first such error if it is not [ErrTooLarge] or [ErrDamaged].
func (p *Planner) Job(every time.Duration, b registry.Backend) jobs.Job {
	return jobs.Job{Name: JobName, Every: every, Run: func(ctx context.Context, progress *jobs.Progress) (any, error) {
		t := &tally{opts: ApplyOptions{Progress: func(r Result) { progress.Set(r) }}}
		r := &run{application: application{planner: p, backend: b, tally: t}}
		err := r.all(ctx)
		if err != nil {
			err = fmt.Errorf("retention: %w", err)
		}
		return t.end(), err
	}}
}

// run is one run of the job.
type run struct{ application }

// all applies the rules to all repositories.
func (r *run) all(ctx context.Context) error {
	var first error
	for repo, err := range r.planner.store.Inventory().Repositories(ctx, "") {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return errors.Join(first, err)
		}
		r.now = time.Now()
		err = r.one(ctx, repo)
		switch {
		case errors.Is(err, ErrTooLarge), errors.Is(err, ErrDamaged):
			r.tally.count(func(r *Result) { r.LeftAlone++ })
		case err != nil && ctx.Err() != nil:
			return errors.Join(first, context.Cause(ctx))
		case err != nil && first == nil:
			first = err
		}
	}
	return first
}

// one applies the rules to one repository.
func (r *run) one(ctx context.Context, repo string) error {
	left, err := r.planner.readUnfinished(ctx, repo)
	if err != nil {
		return err
	}
	if left != nil {
		if err := r.repository(ctx, left.lines); err != nil {
			return err
		}
		if err := r.planner.removeUnfinished(ctx, repo, left); err != nil {
			return err
		}
	}
	e, err := r.planner.evaluate(ctx, repo, r.now, nil)
	if err != nil {
		return fmt.Errorf("evaluating %s: %w", repo, err)
	}
	var goes []Line
	for _, l := range e.Lines {
		if l.Decision == Goes {
			goes = append(goes, l)
		}
	}
	if len(goes) == 0 {
		return nil
	}
	r.tally.count(func(r *Result) { r.Repositories++ })
	note, err := r.planner.writeUnfinished(ctx, repo, goes)
	if err != nil {
		return err
	}
	if err := r.remove(ctx, e); err != nil {
		return err
	}
	return r.planner.removeUnfinished(ctx, repo, note)
}
