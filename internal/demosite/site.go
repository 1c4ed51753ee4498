// Package demosite is a registry with accounts, every part of the management API and the page, filled with data for
// people and tests that look at the page: a site without content, one with everything, and one whose texts are hostile.
package demosite

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/multi"
	"github.com/registrykit/registry/notification/sse"
	"github.com/registrykit/registry/notification/webhook"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
	"github.com/registrykit/registry/web"
)

// Password is the password of every user of a site.
const Password = "correct horse battery staple"

// The users of a site. Boss is an admin, Ann owns the organisation acme, Bob is a member of acme
// who reads, and Cleo has access to nothing but what is public. An empty site has Boss only.
const (
	Boss = "boss"
	Ann  = "ann"
	Bob  = "bob"
	Cleo = "cleo"
)

// Data names what a site is filled with.
type Data string

// The sets of data.
const (
	Empty   Data = "empty"
	Full    Data = "full"
	Hostile Data = "hostile"
)

// All are all sets of data.
var all = []Data{Empty, Full, Hostile}

// Sets returns all sets of data.
func Sets() []Data { return slices.Clone(all) }

// Options are the options of New. nil means the zero Options.
type Options struct {
	// Page are the options of the page. Path, SignIn and Events are set by New.
	Page web.Options
	// Log receives messages. Default: nothing is logged.
	Log *slog.Logger
}

// Site is a site. It is an http.Handler: the registry is at /v2/, the API at /api/, the sign-in at /signin/, and the
// page everywhere else.
type Site struct {
	// People and Registry are parts of the site.
	People   *accounts.Accounts
	Registry *registry.Registry
	// Page is the page.
	Page *web.Page

	driver   driver.Driver
	store    *storage.Store
	mirror   *mirror.Mirror
	upstream *upstream
	trail    *audit.Log
	hooks    *endpoints.Endpoints
	stream   *sse.Handler
	pulls    *pulltime.Recorder
	quotas   *quota.Quotas
	meter    *usage.Meter
	planner  *retention.Planner
	index    *search.Index
	runner   *jobs.Runner
	sessions *session.Sessions
	users    *accounts.Authenticator
	api      *api.API
	handler  http.Handler
	receiver *httptest.Server
	stop     context.CancelFunc
	daysAgo  atomic.Int64 // see now
}

// New starts a site with data. Close ends it.
//
// Errors: those of a part.
func New(ctx context.Context, data Data, opts *Options) (*Site, error) {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Site{driver: memory.New(nil)}
	if data == Full {
		s.daysAgo.Store(historyDays)
	}
	s.receiver = httptest.NewServer(http.HandlerFunc(receive))
	for _, open := range []func(context.Context) error{
		s.openStore, s.openPeople, s.openRegistry, s.openKeeping,
		func(ctx context.Context) error { return s.openPage(ctx, &o) },
	} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for _, run := range []func(context.Context) error{
		s.trail.Run, s.hooks.Run, s.pulls.Run, s.quotas.Run, s.mirror.Run, s.People.Run, s.runner.Run, s.index.Run,
	} {
		go func() { _ = run(background) }()
	}
	return s, s.fill(ctx, data)
}

// ServeHTTP serves a request.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends the background work.
func (s *Site) Close() {
	s.stop()
	s.receiver.Close()
	s.upstream.Close()
}

// openStore opens the storage, the mirror over it, and its limits.
func (s *Site) openStore(ctx context.Context) (err error) {
	s.store, err = storage.New(ctx, s.driver, &storage.Options{History: storage.DefaultGrace * 30})
	if err != nil {
		return err
	}
	if s.upstream, err = newUpstream(ctx); err != nil {
		return err
	}
	s.mirror, err = mirror.New(ctx, s.store, s.driver, []mirror.Upstream{
		{Name: "docker.io", URLs: []string{s.upstream.URL}},
		{Name: "quay.example", URLs: []string{"http://127.0.0.1:1"}}, // does not respond
	}, nil)
	if err != nil {
		return err
	}
	limits, err := quota.NewLimits([]quota.Limit{
		{Prefix: "acme", Max: quota.Amounts{Bytes: 400 << 20, Repositories: 120}},
		{Prefix: "*", Max: quota.Amounts{Bytes: 2 << 30, Repositories: 100}},
	})
	if err != nil {
		return err
	}
	s.quotas, err = quota.New(s.mirror, s.store, s.driver, limits, nil)
	if err != nil {
		return err
	}
	s.pulls, err = pulltime.New(s.driver, &pulltime.Options{Interval: time.Second})
	return err
}

// openPeople makes the accounts, the sessions, and what receives events.
func (s *Site) openPeople(context.Context) (err error) {
	if s.trail, err = audit.New(s.driver, &audit.Options{Flush: time.Second}); err != nil {
		return err
	}
	s.hooks, err = endpoints.New(s.driver, &endpoints.Options{Webhook: webhook.Options{AllowPrivate: true},
		GiveUp: 2 * time.Second, GiveUpRefused: time.Second})
	if err != nil {
		return err
	}
	if s.People, err = accounts.New(s.driver, &accounts.Options{Sink: s}); err != nil {
		return err
	}
	if s.users, err = accounts.NewAuthenticator(s.People, nil); err != nil {
		return err
	}
	if s.sessions, err = session.New(s.driver, s.People, nil); err != nil {
		return err
	}
	s.stream, err = sse.New(&sse.Options{Authenticator: s.sessions.Authenticator(s.users), Authorizer: s.access()})
	return err
}

// Notify gives events to the audit log, the webhooks and the stream.
func (s *Site) Notify(ctx context.Context, events []notification.Event) error {
	return multi.New(s.trail, s.hooks, s.stream, s.index).Notify(ctx, events)
}

// protects reports which tags are immutable, for the page: those that the rule "releases stay" keeps.
func protects(repo string) func(tag string) bool {
	if !strings.HasPrefix(repo, "acme/shop/") {
		return nil
	}
	return func(tag string) bool { return strings.HasPrefix(tag, "v") }
}

// access decides what callers may do: their roles, and a rule that keeps releases.
func (s *Site) access() auth.Authorizer {
	return accounts.NewAuthorizer(s.People).Refine(s.rules())
}

// rules returns the rules beside the roles.
func (s *Site) rules() *rules.Rules {
	return must(rules.Parse([]byte(`rules:
  - name: users pull through the mirror
    who: authenticated
    repositories: ["docker.io/**", "quay.example/**"]
    actions: [pull]
  - name: releases stay
    who: everyone
    repositories: "acme/shop/**"
    actions: [overwrite, delete]
    tags: "v*"
    effect: deny
  - name: retention removes
    who: {user: ` + retainer + `}
    repositories: "**"
    actions: [pull, delete]
`)))
}

// must returns a value that cannot fail.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// openRegistry makes the registry.
func (s *Site) openRegistry(context.Context) (err error) {
	s.Registry, err = registry.New(s.quotas, &registry.Options{
		Authenticator: s.users, Authorizer: s.access(), Sink: s, Audit: s.trail.Decided, Resolve: s.mirror.Resolve,
		Interceptors: []registry.Interceptor{s.recordPulls},
	})
	return err
}

// recordPulls records the pulls of manifests.
func (s *Site) recordPulls(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	err := next(ctx)
	if err == nil && op.Kind == registry.OpGetManifest && pulling(ctx) {
		s.pulls.Pulled(op.Repository, op.Result.Digest, op.Ref.Tag)
	}
	return err
}

// retainer is the name of the job that applies the rules of retention. No account can have it.
const retainer = "~retention"

// retentionRules are the rules of the demonstration: few builds stay.
const retentionRules = `rules:
  - name: builds
    repositories: "acme/**"
    tags: ["build-*"]
    keep: {newest: 3}
  - name: untagged
    untagged: true
    keep: {youngerThan: 30d}
`

// openKeeping makes the jobs.
func (s *Site) openKeeping(context.Context) (err error) {
	if s.meter, err = usage.New(s.store, s.driver, &usage.Options{Now: s.now}); err != nil {
		return err
	}
	kept, err := retention.Parse("retention.yaml", []byte(retentionRules))
	if err != nil {
		return err
	}
	s.planner, err = retention.New(s.store, s.driver, kept, &retention.Options{Pulls: s.pulls, MinAge: -1})
	if err != nil {
		return err
	}
	collect, err := s.store.CollectJob(&storage.ScheduleOptions{Collect: storage.CollectOptions{Exclusive: true}})
	if err != nil {
		return err
	}
	s.index, err = search.New(s.store, &search.Options{Accounts: s.People, Content: s.store, Every: time.Second})
	if err != nil {
		return err
	}
	s.runner, err = jobs.New(s.driver, &jobs.Options{Poll: 500 * time.Millisecond, Jobs: []jobs.Job{
		collect, s.meter.Job(time.Hour), s.planner.Job(0, s.Registry.Backend(auth.Identity{Name: retainer})),
		scrub.Job(24*time.Hour, s.store, s.driver, &scrub.Options{Exclusive: true}), s.trail.Job(time.Hour),
		{Name: "sync", Every: time.Hour, Run: failing}, {Name: "replicate", Run: endless},
	}})
	return err
}

// failing is a job that fails.
func failing(context.Context, *jobs.Progress) (any, error) {
	return nil, errSync
}

// openPage makes the sign-in, the API and the page.
func (s *Site) openPage(ctx context.Context, o *Options) error {
	key, err := s.store.SharedSecret(ctx, "signin")
	if err != nil {
		return err
	}
	signIn, err := signin.New(s.People, s.sessions, key, &signin.Options{Passwords: s.users, Audit: s.trail.Decided,
		Fail: func(w http.ResponseWriter, r *http.Request, f signin.Failure) {
			s.Page.SignInFailed(w, r, web.SignInFailure(f))
		}})
	if err != nil {
		return err
	}
	signUps, err := accounts.NewSignUps(s.People, nil)
	if err != nil {
		return err
	}
	s.api, err = api.New(s.Registry, &api.Options{
		Authenticator: s.sessions.Authenticator(s.users), Logger: o.Log, Tags: s.store.Inventory(), Pulls: s.pulls,
		Protects: protects,
		Parts: api.Parts{
			Accounts: s.People, SignUp: signUps, Sessions: s.sessions, Search: s.index, Rules: s.rules(), Usage: s.meter,
			Quotas: s.quotas, Retention: s.planner, Scrub: s.driver, Webhooks: s.hooks, Jobs: s.runner, Mirror: s.mirror,
			Audit: s.trail, Bin: s.store.Inventory(),
		},
	})
	if err != nil {
		return err
	}
	page := o.Page
	page.Path, page.Events, page.Logger = "/", s.stream, o.Log
	if page.SignInURL == "" {
		page.SignIn = &web.SignIn{Path: "/signin/", Password: true}
	}
	if page.Name == "" {
		page.Name = "Acme images"
	}
	if s.Page, err = web.New(s.api, &page); err != nil {
		return err
	}
	manage, login := http.StripPrefix("/api", s.api), http.StripPrefix("/signin", signIn)
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/v2", strings.HasPrefix(path, "/v2/"):
			s.Registry.ServeHTTP(w, r.WithContext(withPull(r.Context())))
		case strings.HasPrefix(path, "/api/"):
			manage.ServeHTTP(w, r)
		case strings.HasPrefix(path, "/signin/"):
			login.ServeHTTP(w, r)
		default:
			s.Page.ServeHTTP(w, r)
		}
	})
	return nil
}

// As returns a handler of the site for which each request without credentials is one of a user, so that a browser sees
// the page of that user without a sign-in.
func (s *Site) As(user string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			r = r.Clone(r.Context())
			r.SetBasicAuth(user, Password)
		}
		s.ServeHTTP(w, r)
	})
}

// receive is the receiver of webhooks: one that works, and one that does not.
func receive(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if strings.HasSuffix(r.URL.Path, "/broken") {
		w.WriteHeader(http.StatusBadGateway)
	}
}
