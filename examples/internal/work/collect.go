package work

import (
	"context"
	"errors"
	"log/slog"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage"
)

// Collect returns the job that collects garbage, and logs what it has removed. changed, unless nil, is called after
// each collection. There is no job for a storage that cannot be collected safely beside other processes.
func Collect(store *storage.Store, o storage.ScheduleOptions, changed func(), log *slog.Logger) ([]jobs.Job, error) {
	o.Done = func(r *storage.CollectReport, err error) {
		if err != nil && !errors.Is(err, context.Canceled) {
			log.Warn("collection failed", "error", err)
		}
		if r != nil {
			log.Info("collection ended", "took", r.Duration, "requests", r.Requests, "removed", r.Removed)
		}
		if changed != nil {
			changed()
		}
	}
	job, err := store.CollectJob(&o)
	if errors.Is(err, storage.ErrSingleProcess) {
		log.Warn("collection is off: set collect-exclusive if no other process uses the storage", "why", err)
		return nil, nil
	}
	return []jobs.Job{job}, err
}
