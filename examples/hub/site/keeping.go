package site

import (
	"context"
	"time"

	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/examples/internal/work"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/usage"
)

// openKeeping makes the jobs that keep house, each of which runs on one replica at a time.
func (h *Hub) openKeeping(context.Context) (err error) {
	c := h.config
	if h.meter, err = usage.New(h.store, h.driver, nil); err != nil {
		return err
	}
	all, err := h.jobs()
	if err != nil {
		return err
	}
	for _, one := range []jobs.Job{
		h.meter.Job(c.Usage.Every),
		scrub.Job(c.Scrub.Every, h.store, h.driver, &scrub.Options{Repair: c.Scrub.Repair, Rate: int64(c.Scrub.Rate)}),
	} {
		one.Done = work.Logged(one.Name, one.Done, h.log)
		all = append(all, one)
	}
	if h.trail != nil {
		all = append(all, h.trail.Job(time.Hour))
	}
	if c.Events.Reindex > 0 {
		all = append(all, work.Reindex(h.box, h.store, c.Events.Reindex, h.log))
		h.work = append(h.work, job{"looking for lost events", func(ctx context.Context) error {
			work.ReindexSoon(ctx, h.runner, c.Events.Reindex, h.log)
			<-ctx.Done()
			return ctx.Err()
		}})
	}
	h.runner, err = jobs.New(h.driver, &jobs.Options{Holder: process.Instance(), Jobs: all})
	if err != nil {
		return err
	}
	h.work = append(h.work, job{"jobs", h.runner.Run}, job{"removing expired uploads", func(ctx context.Context) error {
		work.ExpireUploads(ctx, h.store, min(time.Hour, c.Content.UploadTTL), h.log)
		return ctx.Err()
	}})
	return h.metrics.Register(metrics.Jobs(h.runner, h.log))
}

// jobs returns the jobs that remove something: retention and collections.
func (h *Hub) jobs() (all []jobs.Job, err error) {
	c := h.config
	if c.Retention.Rules != nil {
		h.planner, err = work.Planner(h.store, h.driver, c.Retention.Rules, h.pulls, c.Content.Immutable)
		if err != nil {
			return nil, err
		}
		retain, err := work.Retention(h.planner, c.Retention.Every, h.backend, h.sink, h.log)
		if err != nil {
			return nil, err
		}
		all = append(all, retain)
	}
	if c.Collection.Every == 0 {
		return all, nil
	}
	var changed func()
	if h.quotas != nil {
		changed = func() { h.quotas.Changed("") }
	}
	collect, err := work.Collect(h.store, storage.ScheduleOptions{Every: c.Collection.Every,
		Collect: storage.CollectOptions{Untagged: c.Collection.Untagged, Exclusive: c.Collection.Exclusive}}, changed, h.log)
	return append(all, collect...), err
}
