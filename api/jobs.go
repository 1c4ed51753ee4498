package api

import (
	"context"
	"net/http"
	"time"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/jobs"
)

// jobRoutes are the routes of the part jobs.
func (a *API) jobRoutes() []route {
	read := needs(auth.TypeRegistry, auth.NameJobs, auth.Read)
	manage := needs(auth.TypeRegistry, auth.NameJobs, auth.Manage)
	return []route{
		{method: "GET", path: "/v1/jobs", access: read, handle: listJobs},
		{method: "GET", path: "/v1/jobs/{job}", access: read, handle: getJob},
		{method: "POST", path: "/v1/jobs/{job}/run", access: manage, handle: runJob},
		{method: "POST", path: "/v1/jobs/{job}/cancel", access: manage, handle: cancelJob},
	}
}

func listJobs(q *request) (*response, error) {
	if err := q.only("after", "limit"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	states, err := q.api.opts.Jobs.List(q.Context())
	if err != nil {
		return nil, err
	}
	list := types.JobList{Items: []types.Job{}}
	for _, s := range states {
		switch {
		case s.Name <= after:
		case len(list.Items) == limit:
			return &response{body: list, next: list.Items[limit-1].Name}, nil
		default:
			list.Items = append(list.Items, jobOf(s))
		}
	}
	return &response{body: list}, nil
}

func getJob(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	job, err := q.job()
	if err != nil {
		return nil, err
	}
	return found(job), nil
}

func runJob(q *request) (*response, error) {
	return q.changeJob(q.api.opts.Jobs.Start)
}

func cancelJob(q *request) (*response, error) {
	return q.changeJob(q.api.opts.Jobs.Cancel)
}

// changeJob calls a method of the Runner with the job in the path, and returns the new state of the
// job.
func (q *request) changeJob(change func(ctx context.Context, name string) error) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	if _, err := q.job(); err != nil { // names that are no keys, too
		return nil, err
	}
	if err := change(q.Context(), q.param("job")); err != nil {
		return nil, err
	}
	job, err := q.job()
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusAccepted, body: job}, nil
}

// job returns the job in the path.
//
// Errors: 404.
func (q *request) job() (types.Job, error) {
	states, err := q.api.opts.Jobs.List(q.Context())
	if err != nil {
		return types.Job{}, err
	}
	for _, s := range states {
		if s.Name == q.param("job") {
			return jobOf(s), nil
		}
	}
	return types.Job{}, errNotFound.WithMessage("there is no job of this name")
}

// jobOf returns the state of a job.
func jobOf(s jobs.State) types.Job {
	return types.Job{
		Name: s.Name, Here: s.Here, Every: seconds(s.Every), Running: s.Running, Holder: s.Holder,
		Started: instant(s.Started), Progress: s.Progress, Requested: instant(s.Requested), Ended: instant(s.Ended),
		Result: s.Result, Error: s.Error, Failures: s.Failures, Next: instant(s.Next),
	}
}

// seconds returns a duration in seconds, rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
