// Package site assembles a hub from its configuration and a driver: the registry, its accounts, its background work,
// the management API and the pages around them.
//
//	h, err := site.New(ctx, &site.Options{Config: c, Driver: d, Log: log})
//	go h.Run(ctx)
//	server.Handler = h
package site

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/examples/hub/config"
	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/sse"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/usage"
	"github.com/registrykit/registry/web"
)

// Options are the options of New. All are required.
type Options struct {
	// Config is the content of hub.yaml.
	Config *config.Config
	// Driver is the storage. Any number of hubs may use it at once. The caller closes it after Run has returned.
	Driver driver.Driver
	// Addr is the address on which the hub listens, which decides about the host names under which
	// its pages are served.
	Addr string
	// Spans makes the spans of requests.
	Spans trace.TracerProvider
	// Log receives messages.
	Log *slog.Logger
}

// Hub is an assembled hub. It is safe for concurrent use.
type Hub struct {
	config *config.Config
	addr   string
	log    *slog.Logger

	metrics *prometheus.Registry
	http    *metrics.HTTP
	spans   trace.TracerProvider

	driver  driver.Driver
	store   *storage.Store
	trail   *audit.Log           // or nil
	hooks   *endpoints.Endpoints // or nil
	box     *outbox.Outbox
	sink    notification.Sink
	people  *accounts.Accounts
	logins  *accounts.Authenticator // passwords and secrets
	users   auth.Authenticator      // and ID tokens
	refresh *token.RefreshTokens
	tokens  *token.Service

	sessions *session.Sessions
	signIn   *signin.Handler
	signUps  *accounts.SignUps // or nil

	mirror   *mirror.Mirror                          // or nil
	quotas   *quota.Quotas                           // or nil
	pulls    *pulltime.Recorder                      // or nil
	protects func(repo string) func(tag string) bool // immutable tags, or nil
	backend  registry.Backend                        // without access control
	registry *registry.Registry
	meter    *usage.Meter
	planner  *retention.Planner // or nil
	index    *search.Index
	runner   *jobs.Runner
	api      *api.API
	stream   *sse.Handler
	page     *web.Page
	handler  http.Handler

	work  []job // ends with the context of Run
	after []job // ends with the context of Deliver: it serves requests until the last one
}

// job is something that runs in the background on every replica.
type job struct {
	name string
	run  func(ctx context.Context) error
}

// New assembles a hub. It makes few requests to the storage, and starts nothing.
//
// Errors: those of a part, such as a configuration that it refuses; those of the storage.
func New(ctx context.Context, o *Options) (*Hub, error) {
	h := &Hub{config: o.Config, addr: o.Addr, log: o.Log, spans: o.Spans, driver: o.Driver,
		metrics: prometheus.NewRegistry()}
	for _, part := range []func(context.Context) error{
		h.observe, h.openStorage, h.openEvents, h.openMirror, h.openLimits, h.openPeople, h.openSearch,
		h.openRegistry, h.openKeeping,
		h.openSignIn, h.openAPI, h.openPage, h.openPages,
	} {
		if err := part(ctx); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// ServeHTTP serves a request.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.handler.ServeHTTP(w, r) }

// Run does the background work until ctx ends, such as jobs.
func (h *Hub) Run(ctx context.Context) { h.runAll(ctx, h.work) }

// Deliver does the background work that requests need until their end, such as the delivery of events. Its ctx ends
// after the server has stopped.
func (h *Hub) Deliver(ctx context.Context) { h.runAll(ctx, h.after) }

// runAll runs all work at once, and waits for its end.
func (h *Hub) runAll(ctx context.Context, all []job) {
	runs := make([]func(context.Context), len(all))
	for i, w := range all {
		runs[i] = func(ctx context.Context) { process.Ends(ctx, w.name, w.run(ctx), h.log) }
	}
	process.Together(runs)(ctx)
}

// SetupToken returns a one-time token for the first admin, or "" if there is one. An earlier token is dead then.
func (h *Hub) SetupToken(ctx context.Context) (auth.Secret, error) { return h.people.SetupToken(ctx) }

// observe measures the storage and HTTP requests.
func (h *Hub) observe(context.Context) (err error) {
	h.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if h.driver, err = metrics.Storage(h.driver, h.metrics); err != nil {
		return err
	}
	h.http, err = metrics.NewHTTP(h.metrics)
	return err
}

// openStorage opens the store.
func (h *Hub) openStorage(ctx context.Context) (err error) {
	c := h.config
	opts := &storage.Options{Sparse: c.Content.Sparse, AcceptWrongSizes: c.Content.AcceptWrongSizes,
		UploadTTL: c.Content.UploadTTL, MaxUploads: c.Content.MaxUploads, History: c.History, Grace: c.Collection.Grace}
	if opts.Grace == 0 {
		opts.Grace = -1 // 0 means the default
	}
	if c.Content.Redirect {
		opts.Redirect = &storage.RedirectOptions{}
	}
	h.store, err = storage.New(ctx, h.driver, opts)
	return err
}

// report logs errors of parts that have no caller.
func (h *Hub) report(ctx context.Context, err error) { h.log.WarnContext(ctx, "access", "error", err) }
