package site

import (
	"context"
	"fmt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/examples/internal/work"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/filter/glob"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/notification/multi"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/quota"
)

// openMirror puts the mirror of other registries over the store.
func (h *Hub) openMirror(ctx context.Context) (err error) {
	h.backend = h.store
	if h.config.Mirror == nil {
		return nil
	}
	opts := h.config.Mirror.Options
	opts.Logger = h.log
	if h.mirror, err = mirror.New(ctx, h.store, h.driver, h.config.Mirror.Upstreams, &opts); err != nil {
		return err
	}
	h.backend = h.mirror
	h.work = append(h.work, job{"the mirror", h.mirror.Run})
	return h.metrics.Register(metrics.Mirror(h.mirror.Stats))
}

// openLimits puts quotas and immutable tags around the backend, and records pulls.
func (h *Hub) openLimits(context.Context) (err error) {
	if limits := h.config.Quota.Limits; limits != nil {
		h.quotas, err = quota.New(h.backend, h.store, h.driver, limits, work.QuotaOptions(h.sink, h.log))
		if err != nil {
			return err
		}
		h.backend = h.quotas
		h.work = append(h.work, job{"counting for quotas", h.quotas.Run})
		if err := h.metrics.Register(metrics.Quotas(h.quotas, h.log)); err != nil {
			return err
		}
	}
	if patterns := h.config.Content.Immutable; len(patterns) > 0 {
		protects, err := glob.Tags(patterns...)
		if err != nil {
			return fmt.Errorf("content: immutable: %w", err)
		}
		h.protects = protects
		h.backend = filter.Immutable(h.backend, &filter.ImmutableOptions{Protects: protects})
	}
	if h.config.PullTimes.Record {
		if h.pulls, err = pulltime.New(h.driver, nil); err != nil {
			return err
		}
		h.after = append(h.after, job{"recording pulls", h.pulls.Run})
	}
	return nil
}

// openRegistry makes the registry over the backend, with access control.
func (h *Hub) openRegistry(ctx context.Context) error {
	operations, err := metrics.Operations(h.metrics, h.spans)
	if err != nil {
		return err
	}
	opts := &registry.Options{
		Authenticator: h.tokens, Authorizer: h.tokens, Audit: h.decided, Sink: multi.New(h.sink, h.index),
		Instance:     process.Instance(),
		Interceptors: []registry.Interceptor{operations}, Logger: h.log, MinRate: int64(h.config.Server.MinRate),
		NoDelete: registry.NoDelete{UsedBlobs: h.config.Content.KeepUsedBlobs},
	}
	if h.pulls != nil {
		opts.Interceptors = append(opts.Interceptors, work.RecordPulls(h.pulls, h.config.PullTimes.Except))
	}
	if h.mirror != nil {
		opts.Resolve = h.mirror.Resolve
	}
	if opts.PageKey, err = h.store.SharedSecret(ctx, "cursor"); err != nil {
		return err
	}
	h.registry, err = registry.New(h.backend, opts)
	return err
}
