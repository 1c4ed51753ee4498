package serve

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/registrykit/registry/examples/internal/work"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/storage"
)

// collect holds the flags for garbage collection.
type collect struct {
	every, grace        time.Duration
	untagged, exclusive bool
}

func (c *collect) flags() {
	flag.DurationVar(&c.every, "collect-every", 24*time.Hour,
		"Collect garbage again this `time` after the last collection has ended. 0: never.")
	flag.DurationVar(&c.grace, "collect-grace", storage.DefaultGrace,
		"Keep unreferenced content for this `time`, which must be at least twice that of the longest push. "+
			"With 0, no acknowledged content is lost, but pushes may fail and have to be repeated.")
	flag.BoolVar(&c.untagged, "collect-untagged", false,
		"Also collect manifests that no tag and no other manifest references. Default: false.")
	flag.BoolVar(&c.exclusive, "collect-exclusive", false,
		"Collect a storage that cannot be collected safely beside other processes. Setting it asserts that there are none. "+
			"Default: false.")
}

func (c *collect) check() error {
	if c.every < 0 || c.grace < 0 {
		return errors.New("-collect-every and -collect-grace must not be negative")
	}
	return nil
}

// positive returns an error if d is not positive.
func positive[T ~int64](name string, d T) error {
	if d <= 0 {
		return fmt.Errorf("%s must be positive", name)
	}
	return nil
}

// storeGrace returns the value for storage.Options.Grace, where 0 means the default.
func (c *collect) storeGrace() time.Duration {
	if c.grace == 0 {
		return -1
	}
	return c.grace
}

// job returns the job that collects, or none. changed, unless nil, is called after each collection.
func (c *collect) job(store *storage.Store, changed func(), log *slog.Logger) ([]jobs.Job, error) {
	if c.every == 0 {
		return nil, nil
	}
	return work.Collect(store, storage.ScheduleOptions{
		Every:   c.every,
		Collect: storage.CollectOptions{Untagged: c.untagged, Exclusive: c.exclusive},
	}, changed, log)
}
