package web

import (
	"time"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// jobViews are the views of background jobs.
func jobViews() []view {
	return []view{
		{name: "jobs", method: "GET", path: "/jobs", part: "jobs", handle: showJobs},
		{name: "jobs", method: "POST", path: "/jobs/{job}/run", part: "jobs", handle: runJob},
		{name: "jobs", method: "POST", path: "/jobs/{job}/cancel", part: "jobs", handle: cancelJob},
	}
}

// jobsPage is what the template "jobs" shows.
type jobsPage struct {
	Notice *notice
	Jobs   []jobRow
	Next   string
	// Running reports whether a job is running or requested, so that the page changes by itself.
	Running bool
}

// jobRow is a job.
type jobRow struct {
	types.Job
	// Title and About say what the job is for. About is "" for a job that the page does not know.
	Title, About string
	// Every is the time between two runs in words, or "".
	Every string
	// Words are the last result, and Now is the progress, in words.
	Words, Now []string
	// Percent is how much of the work is done, or -1 if that is not known.
	Percent int
	// MayRun and MayCancel report whether there are the buttons.
	MayRun, MayCancel bool
}

// showJobs shows the jobs.
func showJobs(q *request) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameJobs, auth.Read)); err != nil {
		return nil, err
	}
	list := q.listPage()
	jobs, err := collect(q.visitor.OnPage(list).Jobs(q.Context()))
	if err != nil {
		return nil, err
	}
	page := jobsPage{Next: q.next(list), Notice: q.notice(map[string]string{
		"requested": "The job will run in a moment.", "canceled": "The job will end in a moment."})}
	manage := q.mayRegistry(auth.NameJobs, auth.Manage)
	for _, j := range jobs {
		row := q.jobRow(j)
		busy := j.Running || !j.Requested.IsZero()
		row.MayRun, row.MayCancel = manage && !busy, manage && busy
		page.Running = page.Running || busy
		page.Jobs = append(page.Jobs, row)
	}
	return q.show(q.language.Text("Jobs"), page), nil
}

// jobRow returns a job in words.
func (q *request) jobRow(j types.Job) jobRow {
	row := jobRow{Job: j, Title: j.Name, Percent: -1}
	if known, ok := knownJobs()[j.Name]; ok {
		row.Title, row.About = q.language.Text(known.title), q.language.Text(known.about)
	}
	if j.Every > 0 {
		row.Every = q.language.Duration(time.Duration(j.Every) * time.Second)
	}
	row.Words = q.jobWords(j.Name, j.Result)
	if j.Running {
		row.Now, row.Percent = q.jobWords(j.Name+" progress", j.Progress), jobPercent(j.Progress)
	}
	return row
}

// runJob requests a run.
func runJob(q *request) (*answer, error) {
	if _, err := q.visitor.RunJob(q.Context(), q.param("job")); err != nil {
		return nil, err
	}
	return q.to(q.page.path("jobs"), "done", "requested"), nil
}

// cancelJob ends the present run.
func cancelJob(q *request) (*answer, error) {
	if _, err := q.visitor.CancelJob(q.Context(), q.param("job")); err != nil {
		return nil, err
	}
	return q.to(q.page.path("jobs"), "done", "canceled"), nil
}
