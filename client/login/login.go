// Package login authenticates a client to a registry: it answers challenges, fetches tokens and
// renews them.
//
// A registry that wants credentials responds with 401 and a challenge. For Basic, the credentials
// go into each request. For Bearer, they go to a token service, its realm, which returns a token for
// some scopes (distribution's token specification). A [Login] does both:
//
//	l, err := login.New("https://registry-1.docker.io", &login.Options{
//		Source: login.Static(login.Credentials{Username: "u", Password: "p"}),
//		Realms: []string{"auth.docker.io"},
//	})
//	c, err := client.New("https://registry-1.docker.io", &client.Options{
//		Authorize: l.Authorize, Challenge: l.Challenge,
//	})
//
// # Where credentials go
//
// Credentials and tokens go to the host of the registry and to listed realms only, over https
// except on loopback. Requests to token services do not follow redirects. Errors have neither
// credentials nor tokens, and nothing that a token service has written.
//
// # Tokens
//
// A Login derives the scope of a request from its method and path, so only the first request of all
// is sent without a token. It keeps tokens until shortly before they expire. Concurrent requests
// for the same scope cause one request to the token service.
//
// # Refused credentials
//
// When a token, or the credentials, are refused, the Login asks its [Source] again. If the Source
// has other credentials now, the Login uses them at once. Otherwise it repeats a refused login only
// after a pause, which grows from a second to a minute. In the meantime it returns the error of the
// last attempt, and does not contact the token service.
package login

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
)

// Options are the options of [New].
type Options struct {
	// Source returns the credentials. Default: anonymous.
	Source Source
	// Realms are the hosts of token services that may receive the credentials, beside the host of
	// the registry itself: a host with an optional port, or "*.example.com" for all hosts below a
	// domain. Without a port, only the default port of https, or of http on loopback, is meant. A
	// challenge with another realm is an error, also if there are no credentials. Default: none but
	// the registry's own host.
	Realms []string
	// Transport sends the requests to token services. Default: http.DefaultTransport.
	Transport http.RoundTripper
}

// Login authenticates requests to one registry. It is safe for concurrent use. It starts no
// goroutine and needs no Close.
type Login struct {
	base   *url.URL // without a slash at the end
	realms realms
	http   http.Client
	keeper *keeper

	mu      sync.Mutex
	way     *way                        // what the registry wants, or nil as long as that is not known
	learned *lru.Cache[string, string]  // scopes by those derived from a request, where these were wrong
	tokens  *lru.Cache[tokenKey, *slot] // weighed in bytes
	basic   *lru.Cache[string, refusal] // refused Basic credentials by the scopes of the request
	refused refusal                     // credentials that have never been accepted
	busy    refusal                     // the token service has asked to wait, whatever the credentials
	proved  Credentials                 // the last credentials for which there was a token
	pushing string                      // the scopes of the last write
	noPost  string                      // the realm that does not support OAuth2
}

const (
	// maxTokens is the maximum size of the tokens that a Login keeps, in bytes.
	maxTokens = 8 << 20
	// maxNames is the maximum size of the scopes that a Login remembers something about, in bytes.
	maxNames = 1 << 20
	// tokenTimeout is the maximum time of a request to a token service.
	tokenTimeout = 30 * time.Second
)

// New returns a Login for the registry at baseURL, as client.New has it. It sends no request. opts
// may be nil.
//
// New returns an error if baseURL is not an http or https URL of a host and an optional path, or if
// an element of Options.Realms is malformed.
func New(baseURL string, opts *Options) (*Login, error) {
	o := options.Value(opts)
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return nil, errors.New("login: the base URL is malformed") // it may contain a password
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Opaque != "":
		return nil, fmt.Errorf("login: %q is not an http or https URL", u.Redacted())
	case u.User != nil, u.RawQuery != "", u.ForceQuery, u.Fragment != "":
		return nil, fmt.Errorf("login: %q has more than a scheme, host and path", u.Redacted())
	}
	u = u.JoinPath()
	u.Path, u.RawPath = strings.TrimSuffix(u.Path, "/"), ""
	allowed, err := newRealms(u, o.Realms)
	if err != nil {
		return nil, err
	}
	if o.Source == nil {
		o.Source = Static(Credentials{})
	}
	return &Login{
		base:   u,
		realms: allowed,
		http: http.Client{
			Transport:     o.Transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		keeper:  newKeeper(o.Source, u.Host),
		learned: lru.New[string, string](maxNames),
		tokens:  lru.New[tokenKey, *slot](maxTokens),
		basic:   lru.New[string, refusal](maxNames),
	}, nil
}

// Format implements [fmt.Formatter]. It writes the host of the registry, because package fmt would
// show the secrets in unexported fields.
func (l *Login) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "login.Login(%s)", l.base.Host) }

// way is what a registry wants: credentials for Basic, or tokens of a service.
type way struct {
	realm   *url.URL // nil for Basic
	service string
}

// ours reports whether u is at the scheme and host of the registry.
func (l *Login) ours(u *url.URL) bool {
	return u != nil && u.Scheme == l.base.Scheme && u.User == nil && origin(u) == origin(l.base)
}

// known returns what the registry wants, or nil.
func (l *Login) known() *way {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.way
}
