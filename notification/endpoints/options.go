package endpoints

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Logger gets what goes wrong: dropped events, damaged objects. Default: nothing is logged.
	Logger *slog.Logger
	// Owner returns an identifier of the account that a namespace belongs to now, or "" if it belongs to nobody. An
	// endpoint of a namespace that belongs to another account than at its creation is removed. It is called often, so
	// it must be fast. See accounts.OwnerOf. Default: nil, names never get another owner.
	Owner func(ctx context.Context, namespace string) (string, error)
	// ExternalURL is the URL of the registry for clients, for links in events, see format.Options. Default: "".
	ExternalURL string
	// Pulls allows endpoints to select the action Pull. Set it with outbox.Options.Pulls. Default: false.
	Pulls bool
	// Webhook are options of all requests, such as Timeout, AllowPrivate and Proxy. Format, Secrets, Authorization and
	// Observe belong to the endpoints, and must not be set.
	Webhook webhook.Options

	// MaxPerScope is the maximum number of endpoints of one scope. Default: 20.
	MaxPerScope int
	// MaxPerNamespace is the maximum number of endpoints of one namespace and of its repositories together; the
	// repositories in no namespace and the whole registry count as one namespace. Default: 100.
	MaxPerNamespace int
	// MaxTotal is the maximum number of all endpoints. Endpoints that are created at the same time may exceed it.
	// Default: 10,000.
	MaxTotal int
	// MaxWaiting is the maximum number of deliveries that wait for one endpoint in one process. Further events are
	// dropped, and the endpoint gets one event with the action Missing instead. Default: 10,000.
	MaxWaiting int
	// KeepDeliveries is the number of the last deliveries of each endpoint that are kept, without the dead ones.
	// Default: 100.
	KeepDeliveries int
	// MaxDead is the maximum number of dead deliveries of each endpoint; the oldest are removed. Default: 1000.
	MaxDead int
	// KeepDead is how long dead deliveries are kept. Default: 30 days.
	KeepDead time.Duration
	// GiveUp is how long an event waits before it becomes a dead delivery. Default: 72 hours.
	GiveUp time.Duration
	// GiveUpRefused is the same for an event that the receiver refuses, such as with the status 400. Later events of the
	// endpoint wait that long. Default: 1 minute.
	GiveUpRefused time.Duration
	// Concurrency is the maximum number of requests at a time of a process to endpoints that work. As many are made to
	// endpoints that fail. Default: 64.
	Concurrency int
	// Refresh is how old what a process knows of the endpoints may be. Default: 5 seconds. More than 10 seconds is an
	// error.
	Refresh time.Duration
	// Lease is how long a process waits, by its own clock, before it takes over the deliveries of a stopped process. All
	// replicas should have the same value. Default: 30 seconds. Less than 1 second is an error.
	Lease time.Duration
	// Observe is called after each request of a delivery, for metrics. It must return quickly. Default: nil.
	Observe func(Observation)
}

// Observation describes one attempt to deliver an event.
type Observation struct {
	// Endpoint is the ID of the endpoint.
	Endpoint ID
	// Delivery is the delivery after the attempt.
	Delivery Delivery
}

// The defaults of Options.
const (
	defaultMaxPerScope     = 20
	defaultMaxPerNamespace = 100
	defaultMaxTotal        = 10_000
	defaultMaxWaiting      = 10_000
	defaultKeepDeliveries  = 100
	defaultMaxDead         = 1000
	defaultKeepDead        = 30 * 24 * time.Hour
	defaultGiveUp          = 72 * time.Hour
	defaultGiveUpRefused   = time.Minute
	defaultConcurrency     = 64
	defaultRefresh         = 5 * time.Second
	maxRefresh             = 10 * time.Second
	defaultLease           = 30 * time.Second
)

// setDefaults checks the options and fills in the defaults.
func (o *Options) setDefaults() error {
	for _, n := range []struct {
		name     string
		value    *int
		fallback int
	}{
		{"MaxPerScope", &o.MaxPerScope, defaultMaxPerScope}, {"MaxPerNamespace", &o.MaxPerNamespace, defaultMaxPerNamespace},
		{"MaxTotal", &o.MaxTotal, defaultMaxTotal}, {"MaxWaiting", &o.MaxWaiting, defaultMaxWaiting},
		{"KeepDeliveries", &o.KeepDeliveries, defaultKeepDeliveries}, {"MaxDead", &o.MaxDead, defaultMaxDead},
		{"Concurrency", &o.Concurrency, defaultConcurrency},
	} {
		if *n.value < 0 {
			return errors.New("endpoints: Options." + n.name + " is negative")
		}
		if *n.value == 0 {
			*n.value = n.fallback
		}
	}
	for _, d := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"KeepDead", &o.KeepDead, defaultKeepDead}, {"GiveUp", &o.GiveUp, defaultGiveUp},
		{"GiveUpRefused", &o.GiveUpRefused, defaultGiveUpRefused}, {"Refresh", &o.Refresh, defaultRefresh},
		{"Lease", &o.Lease, defaultLease},
	} {
		if *d.value < 0 {
			return errors.New("endpoints: Options." + d.name + " is negative")
		}
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	switch {
	case o.Refresh > maxRefresh:
		return errors.New("endpoints: Options.Refresh is more than 10 seconds")
	case o.Lease < time.Second:
		return errors.New("endpoints: Options.Lease is less than a second")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(Observation) {}
	}
	return o.checkWebhook()
}

// checkWebhook checks the options of requests.
func (o *Options) checkWebhook() error {
	w := &o.Webhook
	if w.Format != nil || w.Secrets != nil || w.Authorization != "" || w.Observe != nil {
		return errors.New("endpoints: Options.Webhook has options that belong to the endpoints")
	}
	if _, err := webhook.New("https://receiver.example/", w); err != nil {
		return err
	}
	_, err := format.Named(format.NameJSON, &format.Options{ExternalURL: o.ExternalURL})
	return err
}
