package serve

import (
	"context"
	"flag"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/internal/wire"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/multi"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/web"
)

// The paths of the page and of the sign-in of people.
const (
	uiPath     = "/ui/"
	signInPath = "/signin"
)

// ui holds the flag of the page, and what the page is made of.
type ui struct {
	on bool

	index   *search.Index // set by search, or nil
	handler http.Handler  // set by open, or nil
	work    []func(ctx context.Context)
}

func (u *ui) flags() {
	flag.BoolVar(&u.on, "ui", false, "Serve the page for people at "+uiPath+", to which / leads. Default: false.")
}

// everybody allows everything to all callers. Without an Authorizer, the page would not know that.
func everybody() (auth.Authorizer, error) {
	return rules.New([]rules.Rule{{Who: rules.Who{Everyone: true}, Repositories: []string{"**"},
		Registry: []string{"*"}, Actions: []auth.Action{auth.All}}})
}

// shown is what a page shows.
type shown struct {
	registry *registry.Registry
	store    *storage.Store
	driver   driver.Driver
	limited  *limited
	hosts    []string // further names of the registry
	log      *slog.Logger
}

// search makes the index of the search. It returns a sink of events that also tells the index what has changed.
func (u *ui) search(a *access, store *storage.Store, b registry.Backend, sink notification.Sink,
	log *slog.Logger) (notification.Sink, error) {
	opts := &search.Options{Content: store,
		Failed: func(ctx context.Context, err error) { log.WarnContext(ctx, "search", "error", err) }}
	if a.people != nil {
		opts.Accounts = a.people
	}
	var err error
	if u.index, err = search.New(b, opts); err != nil {
		return nil, err
	}
	u.run("the index of the search", u.index.Run, log)
	if sink == nil {
		return u.index, nil
	}
	return multi.New(sink, u.index), nil
}

// open makes the page. Its management API is in the process only.
func (u *ui) open(ctx context.Context, a *access, s *shown) error {
	report := func(ctx context.Context, err error) { s.log.WarnContext(ctx, "page", "error", err) }
	external, err := url.Parse(a.externalURL)
	if err != nil {
		return err
	}
	under := strings.TrimSuffix(external.Path, "/") // of a proxy
	inventory := s.store.Inventory()
	manage := &api.Options{Authenticator: a.callers, Logger: s.log, Tags: inventory, Protects: s.limited.protects,
		Parts: api.Parts{Search: u.index, Quotas: s.limited.quotas, Rules: a.file, Bin: inventory}}
	opts := &web.Options{Path: under + uiPath, Mount: uiPath, Registry: external.Host, Logger: s.log}
	if a.htpasswd != "" && a.people == nil {
		opts.SignIn = &web.SignIn{Basic: true, PlainHTTP: a.insecureOpen}
	}
	if s.limited.pulls != nil {
		manage.Pulls = s.limited.pulls
	}
	var page *web.Page
	var people *signIn
	if a.people != nil {
		people, err = openSignIn(ctx, a, s, opts.Path, func(w http.ResponseWriter, r *http.Request, f signin.Failure) {
			page.SignInFailed(w, r, web.SignInFailure(f))
		}, report)
		if err != nil {
			return err
		}
		manage.Accounts, manage.Sessions = a.people, people.sessions
		manage.Authenticator = people.sessions.Authenticator(a.callers)
		opts.SignIn = &web.SignIn{Path: under + signInPath + "/", Password: true}
		u.run("removing ended sessions", people.sessions.Run, s.log)
	}
	manager, err := api.New(s.registry, manage)
	if err != nil {
		return err
	}
	if page, err = web.New(manager, opts); err != nil {
		return err
	}
	u.handler, err = a.local(u.paths(page, people, opts.Path), s.hosts)
	return err
}

// run adds work in the background.
func (u *ui) run(name string, run func(context.Context) error, log *slog.Logger) {
	u.work = append(u.work, func(ctx context.Context) { process.Ends(ctx, name, run(ctx), log) })
}

// paths returns the handler of the page and the sign-in.
func (u *ui) paths(page http.Handler, people *signIn, home string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/":
			wire.Bound(w, r)
			http.Redirect(w, r, home, http.StatusSeeOther)
		case people != nil && strings.HasPrefix(r.URL.Path, signInPath+"/"):
			people.handler.ServeHTTP(w, r)
		default:
			page.ServeHTTP(w, r)
		}
	})
}

// around returns a handler with the page beside reg. Only browsers are led from / to the page.
func (u *ui) around(reg http.Handler) http.Handler {
	if u.handler == nil {
		return reg
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		browser := (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
			strings.Contains(r.Header.Get("Accept"), "text/html")
		if path == "/" && browser || path+"/" == uiPath || strings.HasPrefix(path, uiPath) ||
			strings.HasPrefix(path, signInPath+"/") {
			u.handler.ServeHTTP(w, r)
			return
		}
		reg.ServeHTTP(w, r)
	})
}

// signIn is the sign-in of people with an account.
type signIn struct {
	sessions *session.Sessions
	handler  http.Handler
}

// openSignIn makes the sign-in. home is the path of the page.
func openSignIn(ctx context.Context, a *access, s *shown, home string,
	fail func(http.ResponseWriter, *http.Request, signin.Failure), report func(context.Context, error)) (*signIn, error) {
	sessions, err := session.New(s.driver, a.people, &session.Options{Error: report})
	if err != nil {
		return nil, err
	}
	key, err := s.store.SharedSecret(ctx, "signin")
	if err != nil {
		return nil, err
	}
	passwords, err := accounts.NewAuthenticator(a.people, &accounts.AuthenticatorOptions{TrustedProxies: a.proxies})
	if err != nil {
		return nil, err
	}
	handler, err := signin.New(a.people, sessions, key, &signin.Options{Passwords: passwords, Home: home, Fail: fail,
		TrustedProxies: a.proxies, PlainHTTP: a.insecureOpen, Error: report})
	if err != nil {
		return nil, err
	}
	return &signIn{sessions, http.StripPrefix(signInPath, handler)}, nil
}
