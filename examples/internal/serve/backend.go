package serve

import (
	"context"
	"log/slog"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// limited is the backend that the registry serves, with what the flags put around it.
type limited struct {
	registry.Backend
	quotas *quota.Quotas      // or nil
	pulls  *pulltime.Recorder // or nil
	// protects finds immutable tags, or is nil.
	protects func(repo string) func(tag string) bool
}

// backend returns the backend with the limits of -quota and the immutable tags.
func (c *config) backend(served *Served, store *storage.Store, d driver.Driver, sink notification.Sink,
	log *slog.Logger) (b *limited, err error) {
	b = &limited{}
	if b.Backend, b.quotas, err = c.keeping.limit(served.Backend, store, d, sink, log); err != nil {
		return nil, err
	}
	if b.protects, err = immutable(c.immutable); err != nil {
		return nil, err
	}
	if b.protects != nil {
		b.Backend = filter.Immutable(b.Backend, &filter.ImmutableOptions{Protects: b.protects})
	}
	b.pulls, err = c.keeping.recorder(store, d)
	return b, err
}

// flush writes the times of pulls until ctx ends.
func (b *limited) flush(ctx context.Context) {
	if b.pulls != nil {
		_ = b.pulls.Run(ctx) // it ends with ctx
	}
}

// background returns a function that runs all jobs until its context ends, each on one replica at a
// time.
func (c *config) background(k *kept) (func(context.Context), error) {
	var changed func()
	if k.quotas != nil {
		changed = func() { k.quotas.Changed("") }
	}
	all, err := c.collect.job(k.store, changed, k.log)
	if err != nil {
		return nil, err
	}
	more, err := c.keeping.jobs(k)
	if err != nil {
		return nil, err
	}
	runner, err := jobs.New(k.driver, &jobs.Options{Holder: process.Instance(), Jobs: append(all, more...),
		Poll: time.Minute})
	if err != nil {
		return nil, err
	}
	runs := []func(context.Context){
		func(ctx context.Context) { process.Ends(ctx, "background work", runner.Run(ctx), k.log) },
	}
	if k.quotas != nil {
		runs = append(runs, func(ctx context.Context) { process.Ends(ctx, "counting for -quota", k.quotas.Run(ctx), k.log) })
	}
	return process.Together(runs), nil
}
