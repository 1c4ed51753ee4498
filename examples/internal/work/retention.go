package work

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/filter/glob"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// retentionUser is the name in the history and the events of what retention removes.
const retentionUser = "retention"

// Planner returns the planner of retention rules. Tags that match the patterns of immutable stay. pulls may be nil.
func Planner(store *storage.Store, d driver.Driver, rules *retention.Rules, pulls *pulltime.Recorder,
	immutable []string) (*retention.Planner, error) {
	opts := &retention.Options{Pulls: pulls}
	if len(immutable) > 0 {
		protects, err := glob.Tags(immutable...)
		if err != nil {
			return nil, fmt.Errorf("immutable tags: %w", err)
		}
		opts.Protects = protects
	}
	return retention.New(store, d, rules, opts)
}

// Retention returns the job that applies the rules of a planner to b, which is what the registry serves, without access
// control. The operator of the server has given the rules, so rules of access do not restrict the job. Immutable
// tags and events do. sink may be nil.
func Retention(planner *retention.Planner, every time.Duration, b registry.Backend, sink notification.Sink,
	log *slog.Logger) (jobs.Job, error) {
	own, err := registry.New(b, &registry.Options{Logger: log, Sink: sink, Instance: process.Instance()})
	if err != nil {
		return jobs.Job{}, err
	}
	job := planner.Job(every, own.Backend(auth.Identity{Name: retentionUser}))
	job.Done = Logged(job.Name, job.Done, log)
	return job, nil
}
