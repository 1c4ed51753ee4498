package usage

import (
	"context"
	"time"

	"github.com/registrykit/registry/jobs"
)

// JobName is the name of the job of [Meter.Job].
const JobName = "usage"

// Job returns the job that counts, for a [jobs.Runner]: one replica at a time counts, every so often. With
// 0, it counts on request only. The progress of the job is a Progress, and its result the Report of the
// whole storage.
func (m *Meter) Job(every time.Duration) jobs.Job {
	return jobs.Job{
		Name: JobName, Every: every,
		Run: func(ctx context.Context, p *jobs.Progress) (any, error) {
			r, err := m.Count(ctx, func(now Progress) { p.Set(now) })
			if err != nil {
				return nil, err
			}
			return r, nil
		},
	}
}
