package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"github.com/registrykit/registry/storage"
)

// collect is what the flags say of collection.
type collect struct {
	every, grace        time.Duration
	untagged, exclusive bool
}

func (c *collect) flags() {
	flag.DurationVar(&c.every, "collect-every", 24*time.Hour,
		"`time` between two collections of what nothing needs; 0 collects nothing")
	flag.DurationVar(&c.grace, "collect-grace", storage.DefaultGrace, "how old it must be; at least twice the `time` of the longest push. With 0, nothing is lost, but pushes may have to be repeated")
	flag.BoolVar(&c.untagged, "collect-untagged", false,
		"collect manifests, too, that no tag and no other manifest leads to")
	flag.BoolVar(&c.exclusive, "collect-exclusive", false,
		"collect a storage that is not safe to be collected beside other processes: there are none")
}

func (c *collect) check() error {
	if c.every < 0 || c.grace < 0 {
		return errors.New("-collect-every and -collect-grace cannot be negative")
	}
	return nil
}

// positive refuses a time that is none.
func positive[T ~int64](name string, d T) error {
	if d <= 0 {
		return fmt.Errorf("%s must be more than 0", name)
	}
	return nil
}

// storeGrace is the grace as storage.Options and storage.CollectOptions have it.
func (c *collect) storeGrace() time.Duration {
	if c.grace == 0 {
		return -1
	}
	return c.grace
}

// run collects until ctx ends.
func (c *collect) run(ctx context.Context, store *storage.Store, log *slog.Logger) {
	if c.every == 0 {
		return
	}
	err := store.CollectEvery(ctx, &storage.ScheduleOptions{
		Every:   c.every,
		Collect: storage.CollectOptions{Untagged: c.untagged, Exclusive: c.exclusive},
		Done: func(r *storage.CollectReport, err error) {
			if err != nil && ctx.Err() == nil {
				log.Warn("collecting", "error", err)
			}
			if r != nil {
				log.Info("collected", "took", r.Duration, "requests", r.Requests, "removed", r.Removed)
			}
		},
	})
	if errors.Is(err, storage.ErrSingleProcess) {
		log.Warn("nothing is collected without -collect-exclusive", "why", err)
	} else if ctx.Err() == nil {
		log.Error("nothing is collected", "error", err)
	}
}
