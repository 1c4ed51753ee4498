package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/limit"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/internal/hostname"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/internal/wire"
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Passwords checks passwords: an accounts.Authenticator. Its limits on wrong passwords apply.
	// Default: nil, nobody can sign in with a password.
	Passwords auth.Authenticator
	// Providers are the OpenID providers. Default: none.
	Providers []Provider
	// URL is the URL of the handler as browsers see it, such as "https://registry.example/signin". The
	// redirect URI of a provider, which must be registered there, is URL + "/oidc/NAME/callback".
	// Required with Providers.
	URL string
	// Home is the local path to which a browser goes after a sign-in or a logout that names none.
	// Default: "/".
	Home string
	// PlainHTTP accepts passwords of command lines without TLS, on a network that nobody can listen to.
	// Browsers never sign in without TLS, except at a loopback address: they do not keep the cookie.
	// Default: false.
	PlainHTTP bool
	// Client sends the requests to providers. Default: one with a timeout of 10 seconds that follows
	// no redirects.
	Client *http.Client
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For header is used to limit
	// attempts by network, and whose X-Forwarded-Proto header tells whether a password came by TLS.
	// Default: none.
	TrustedProxies []netip.Prefix
	// Audit receives each sign-in that succeeded or was refused. The Method and Path of the decision
	// are those of the request. Default: none.
	Audit auth.AuditFunc
	// Error receives what an operator should know: a provider that cannot be reached, or a team of a
	// mapping that does not exist. Default: none.
	Error func(ctx context.Context, err error)
	// Fail writes the response for an error to a browser, for example as a page. Default: the text of
	// the error.
	Fail func(w http.ResponseWriter, r *http.Request, f Failure)
}

// Failure is an error of a request, for Options.Fail.
type Failure struct {
	// Status is the HTTP status, and Code is a word for programs, such as "NAME_TAKEN".
	Status int
	Code   string
	// Message is a text for people, without secrets.
	Message string
	// RetryAfter is how long the client should wait, or zero.
	RetryAfter time.Duration
	// Name is the name in the form, and Return is the local path to which the browser would have gone,
	// so that a page can show the form again. Both may be "". The password is never repeated.
	Name, Return string
}

// Handler signs people in. It is safe for concurrent use.
type Handler struct {
	people    People
	sessions  *session.Sessions
	opts      Options
	seal      *sealer
	providers map[string]*provider
	order     []*provider // as in Options
	mux       *http.ServeMux
	paced     http.Handler   // mux with limits on slow clients
	attempts  *limit.Limiter // of networks, for codes that are exchanged at a provider
	devices   *limit.Limiter // of networks, for devices: these must not use up the attempts of browsers
	polls     *lru.Cache[[32]byte, time.Time]
	now       func() time.Time
}

var _ http.Handler = (*Handler)(nil)

const (
	// attemptLife is the time that a user has at the provider.
	attemptLife = 10 * time.Minute
	// maxAttempts is the number of failed attempts with a provider of one network in ten minutes.
	maxAttempts = 60
	// maxPolls is the number of device sign-ins whose last poll is remembered.
	maxPolls = 10_000
	// clientTimeout is the maximum time of a request to a provider.
	clientTimeout = 10 * time.Second
)

// New returns a handler that signs people in. key is a secret of at least 32 bytes that all
// replicas share, such as that of Store.SharedSecret of package storage. New makes no request and
// starts nothing: the providers need not be up. opts may be nil.
//
// Errors: an error for an invalid option.
func New(people People, sessions *session.Sessions, key []byte, opts *Options) (*Handler, error) {
	if people == nil || sessions == nil {
		return nil, errors.New("signin: the people and the sessions must not be nil")
	}
	seal, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	h := &Handler{people: people, sessions: sessions, opts: options.Value(opts), seal: seal,
		providers: map[string]*provider{}, now: time.Now, polls: lru.New[[32]byte, time.Time](maxPolls)}
	now := func() time.Time { return h.now() }
	h.attempts, h.devices = limit.New(maxAttempts, now), limit.New(maxAttempts, now)
	o := &h.opts
	options.Default(&o.Home, "/")
	if !isLocal(o.Home) {
		return nil, fmt.Errorf("signin: Home: %q is no local path", o.Home)
	}
	if err := checkURL(o.URL, len(o.Providers) > 0); err != nil {
		return nil, fmt.Errorf("signin: URL: %w", err)
	}
	if o.Client == nil {
		o.Client = &http.Client{Timeout: clientTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if o.Error == nil {
		o.Error = func(context.Context, error) {}
	}
	if o.Fail == nil {
		o.Fail = failText
	}
	for _, given := range o.Providers {
		p, err := h.newProvider(given)
		if err != nil {
			return nil, fmt.Errorf("signin: provider %.40q: %w", given.Name, err)
		}
		h.providers[p.Name] = p
		h.order = append(h.order, p)
	}
	h.routes()
	return h, nil
}

// checkURL returns an error for a URL that browsers or the handler must not use.
func checkURL(text string, required bool) error {
	u, err := url.Parse(text)
	switch {
	case text == "" && !required:
		return nil
	case text == "":
		return errors.New("it is required")
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("%.100q must be a URL without user, query and fragment", text)
	case strings.HasSuffix(text, "/"):
		return fmt.Errorf("%.100q must not end with a slash", text)
	}
	return checkScheme(u)
}

// checkScheme returns an error for a URL that is neither https nor on loopback.
func checkScheme(u *url.URL) error {
	if u.Scheme == "https" || u.Scheme == "http" && hostname.Loopback(u.Host) {
		return nil
	}
	return fmt.Errorf("%.100q must be https; http is permitted to loopback only", u.Redacted())
}

// routes registers the paths of the package comment.
func (h *Handler) routes() {
	h.mux = http.NewServeMux()
	handle := func(pattern string, f func(w http.ResponseWriter, r *http.Request) error) {
		h.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				h.fail(w, r, err)
			}
		})
	}
	with := func(f func(http.ResponseWriter, *http.Request, *provider) error) func(http.ResponseWriter,
		*http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			p, ok := h.providers[r.PathValue("provider")]
			if !ok {
				return errNotFound
			}
			return f(w, r, p)
		}
	}
	same := func(f func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
		return func(w http.ResponseWriter, r *http.Request) error {
			if err := h.sessions.CheckOrigin(r); err != nil {
				return errCrossOrigin.WithCause(err)
			}
			return f(w, r)
		}
	}
	handle("GET /{$}", h.methods)
	handle("POST /password", same(h.password))
	handle("GET /oidc/{provider}", with(h.start))
	handle("GET /oidc/{provider}/callback", with(h.callback))
	handle("POST /oidc/{provider}/link", same(with(h.link)))
	handle("POST /oidc/{provider}/logout", with(h.backChannel))
	handle("POST /device/{provider}", same(with(h.deviceStart)))
	handle("POST /device/{provider}/poll", same(with(h.devicePoll)))
	handle("POST /logout", same(h.logout))
	handle("/", func(http.ResponseWriter, *http.Request) error { return errNotFound })
	h.paced = wire.Pace(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !wire.CleanPath(r.URL.EscapedPath()) {
			h.fail(w, r, errNotFound) // the mux would redirect it to a path outside of the handler
			return
		}
		h.mux.ServeHTTP(w, r)
	}))
}

// ServeHTTP serves a request. Its URL path is one of the list in the package comment. A client that does not send its
// body, or does not read the response, loses its connection after a minute.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer") // the URL of a callback has a code
	header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.paced.ServeHTTP(w, r)
}
