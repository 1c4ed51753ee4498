package site

import (
	"context"
	"fmt"

	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/examples/internal/work"
	hooks "github.com/registrykit/registry/notification/config"
	"github.com/registrykit/registry/notification/endpoints"
	eventlog "github.com/registrykit/registry/notification/log"
	"github.com/registrykit/registry/notification/multi"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/webhook"
)

// The destinations of the outbox beside the webhooks of the configuration. They are also in the storage.
const (
	toUsers = "endpoints"
	toAudit = "audit"
)

// openEvents makes the outbox, which stores each event before the client gets its answer, and delivers it to webhooks
// and to the audit log.
func (h *Hub) openEvents(context.Context) error {
	c := &h.config.Events
	to, err := destinations(c.Webhooks)
	if err != nil {
		return err
	}
	if c.UserWebhooks {
		if err := h.openWebhooks(); err != nil {
			return err
		}
		to = append(to, outbox.Destination{Name: toUsers, Sink: h.hooks})
	}
	if keep := h.config.Audit.Keep; keep > 0 {
		h.trail, err = audit.New(h.driver, &audit.Options{Keep: keep, Instance: process.Instance(), Logger: h.log})
		if err != nil {
			return err
		}
		h.after = append(h.after, job{"the audit log", h.trail.Run})
		to = append(to, outbox.Destination{Name: toAudit, Sink: h.trail})
	}
	h.box, err = outbox.New(h.driver, to, &outbox.Options{Logger: h.log, Instance: process.Instance(), Lease: c.Lease,
		WriteTimeout: work.WriteTimeout, Pulls: c.Pulls})
	if err != nil {
		return err
	}
	h.sink = h.box
	if c.Log {
		h.sink = multi.New(eventlog.New(h.log, nil), h.box)
	}
	h.after = append(h.after, job{"the delivery of events", h.box.Run})
	names := make([]string, len(to))
	for i, d := range to {
		names[i] = d.Name
	}
	return h.metrics.Register(metrics.Events(h.box.Stats, names...))
}

// openWebhooks makes the webhooks of users.
func (h *Hub) openWebhooks() error {
	observe, err := metrics.Webhooks(h.metrics)
	if err != nil {
		return err
	}
	h.hooks, err = endpoints.New(h.driver, &endpoints.Options{
		Logger: h.log, ExternalURL: h.config.Server.ExternalURL, Lease: h.config.Events.Lease, Observe: observe,
		Pulls:   h.config.Events.Pulls,
		Webhook: webhook.Options{AllowPrivate: h.config.Events.AllowPrivate},
		Owner: func(ctx context.Context, namespace string) (string, error) {
			return accounts.OwnerOf(h.people)(ctx, namespace) // the accounts need the outbox, so they come later
		},
	})
	h.after = append(h.after, job{"the webhooks of users", h.hooks.Run})
	return err
}

// destinations returns the destinations of the webhooks of the configuration.
func destinations(webhooks []hooks.Webhook) ([]outbox.Destination, error) {
	var to []outbox.Destination
	for _, w := range webhooks {
		sink, err := w.Sink()
		if err != nil {
			return nil, fmt.Errorf("events: webhook %s: %w", w.Name, err)
		}
		to = append(to, outbox.Destination{Name: w.Name, Sink: sink})
	}
	return to, nil
}
