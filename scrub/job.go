package scrub

import (
	"context"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// JobName is the name of the job that [Job] returns.
const JobName = "scrub"

const (
	// jobFindings is the maximum number of findings in the result of a job.
	jobFindings = 20
	// jobText is the maximum length of a text in the result of a job, in bytes.
	jobText = 200
)

// Job returns the job that calls [Run] periodically, for a [jobs.Runner]; see package jobs. opts may be
// nil. An interval of zero runs it only on request. A run that is interrupted is continued by the next
// one, on any replica.
//
// The progress and the result of the job are a [Report]. The result has at most 20 findings and errors,
// and their texts are cut after 200 bytes. Damage is no failure of the job: look at Report.Whole.
func Job(every time.Duration, s *storage.Store, d driver.Driver, opts *Options) jobs.Job {
	o := options.Value(opts)
	return jobs.Job{Name: JobName, Every: every, Run: func(ctx context.Context, p *jobs.Progress) (any, error) {
		own := o
		own.Progress = func(r Report) {
			p.Set(shorten(r))
			if o.Progress != nil {
				o.Progress(r)
			}
		}
		report, err := Run(ctx, s, d, &own)
		if report == nil {
			return nil, err
		}
		return shorten(*report), err
	}}
}

// shorten returns a report that fits into the record of a job.
func shorten(r Report) Report {
	findings := make([]Finding, min(len(r.Findings), jobFindings))
	for i := range findings {
		f := r.Findings[i]
		f.Expected, f.Found = f.Expected[:min(len(f.Expected), jobText)], f.Found[:min(len(f.Found), jobText)]
		findings[i] = f
	}
	texts := make([]string, min(len(r.Errors), jobFindings))
	for i := range texts {
		texts[i] = r.Errors[i][:min(len(r.Errors[i]), jobText)]
	}
	r.Findings, r.Errors = findings, texts
	return r
}
