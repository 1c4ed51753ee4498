package work

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification/outbox"
)

// ReindexName is the name of the job of Reindex.
const ReindexName = "reindex"

// WriteTimeout is how long a client waits for the storage of its event, before it gets 503.
const WriteTimeout = 10 * time.Second

// grace returns the age of the changes that Reindex looks at. Another process may be about to store the
// event of a younger one, for up to WriteTimeout.
func grace(every time.Duration) time.Duration {
	return max(min(time.Minute, every/2), WriteTimeout+time.Second)
}

// Reindex returns a job that looks for changes without an event. Two runs at once could announce a change
// twice.
func Reindex(box *outbox.Outbox, src outbox.Source, every time.Duration, log *slog.Logger) jobs.Job {
	return jobs.Job{Name: ReindexName, Every: every,
		Run: func(ctx context.Context, _ *jobs.Progress) (any, error) {
			return box.Reindex(ctx, src, &outbox.ReindexOptions{Grace: grace(every)})
		},
		Done: func(result any, err error) { report(result, err, log) },
	}
}

// ReindexSoon starts the job of Reindex soon after the process starts, because an earlier one may have
// been killed. At the start, the last changes of that process are younger than the grace period. They
// would wait for the next run.
func ReindexSoon(ctx context.Context, runner *jobs.Runner, every time.Duration, log *slog.Logger) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(grace(every) + time.Second):
	}
	if err := runner.Start(ctx, ReindexName); err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "looking for changes without an event starts later", "error", err)
	}
}

// report logs what a run of the job has found.
func report(result any, err error, log *slog.Logger) {
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Warn("looking for changes without an event failed", "error", err)
	}
	found, ok := result.(outbox.ReindexReport)
	if ok && found.Pushed+found.Moved+found.Deleted > 0 {
		log.Info("found changes without an event", "pushed", found.Pushed, "moved", found.Moved, "deleted", found.Deleted)
	}
}
