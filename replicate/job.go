package replicate

import (
	"context"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/jobs"
)

// SyncReport is the result of a [SyncJob] as package jobs records it.
type SyncReport struct {
	Copied    int   `json:"copied"`
	Unchanged int   `json:"unchanged"`
	Deleted   int   `json:"deleted"`
	Failed    int   `json:"failed"`
	Bytes     int64 `json:"bytes"`
	// Took is the time in seconds.
	Took float64 `json:"took"`
}

// SyncProgress is the progress of a [SyncJob] as package jobs shows it.
type SyncProgress struct {
	// Repository is the repository at the destination, and Tag the tag that is being copied, or ""
	// while tags are compared.
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	// Bytes and BytesTotal are those of the blobs of that tag.
	Bytes      int64 `json:"bytes"`
	BytesTotal int64 `json:"bytesTotal"`
	// Copied, Unchanged, Deleted and Failed are the numbers so far.
	Copied    int `json:"copied"`
	Unchanged int `json:"unchanged"`
	Deleted   int `json:"deleted"`
	Failed    int `json:"failed"`
}

// SyncJob returns a job that calls [Sync] at intervals, on one replica at a time; see package jobs.
// The functions in rules are called on the replica that runs it. An interval of zero runs it only on
// request.
//
// A run that is interrupted goes on with the tags that are not copied yet, and within a blob if
// Options.Resume of the rule is set. The error of Sync is that of the run, so after a failure the job
// runs again sooner.
func SyncJob(name string, every time.Duration, dst, src registry.Backend, rules []Rule) jobs.Job {
	return jobs.Job{Name: name, Every: every, Run: func(ctx context.Context, p *jobs.Progress) (any, error) {
		s := &syncer{dst: dst, src: src}
		s.onTag = func(repo, tag string, now Progress) {
			p.Set(SyncProgress{Repository: repo, Tag: tag, Bytes: now.Bytes, BytesTotal: now.BytesTotal,
				Copied: s.res.Copied, Unchanged: s.res.Unchanged, Deleted: s.res.Deleted, Failed: s.res.Failed})
		}
		res, err := s.run(ctx, rules)
		return SyncReport{Copied: res.Copied, Unchanged: res.Unchanged, Deleted: res.Deleted, Failed: res.Failed,
			Bytes: res.Bytes, Took: res.Took.Seconds()}, err
	}}
}
