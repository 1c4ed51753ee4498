package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/registrykit/registry/auth/internal/jwks"
)

const (
	// documentAge is the maximum age of what is known of a provider, and documentStale that while it
	// is down.
	documentAge   = time.Hour
	documentStale = 24 * time.Hour
	// retryAfter is the minimum time between two attempts to reach a provider that is down.
	retryAfter = 5 * time.Second
	// maxResponse is the maximum size of a response of a provider, in bytes.
	maxResponse = 1 << 20
)

// provider is a Provider and what is known of it.
type provider struct {
	Provider
	client      *http.Client
	keys        *jwks.Set
	redirectURI string
	now         func() time.Time

	reading chan struct{} // has one element while the document is read
	current *document     // nil before the first success. The fields below belong to the call that has filled reading
	tried   time.Time
	failed  error
}

// document is the discovery document of a provider (OpenID Connect Discovery 1.0).
type document struct {
	oidc     *oidc.Provider
	endpoint oauth2.Endpoint
	endpoints
	read time.Time
}

// endpoints are members of the document that package oidc does not know.
type endpoints struct {
	EndSession string   `json:"end_session_endpoint"`
	AuthStyles []string `json:"token_endpoint_auth_methods_supported"`
	SendsIss   bool     `json:"authorization_response_iss_parameter_supported"`
}

// document returns the discovery document, which may be an hour old. While the provider is down, it
// may be a day old.
//
// Errors: errProvider.
func (p *provider) document(ctx context.Context) (*document, error) {
	select {
	case p.reading <- struct{}{}:
		defer func() { <-p.reading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	now := p.now()
	if p.current != nil && now.Sub(p.current.read) < documentAge {
		return p.current, nil
	}
	if p.failed == nil || now.Sub(p.tried) >= retryAfter {
		p.tried = now
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clientTimeout) // others wait for it, too
		defer cancel()
		var d *document
		if d, p.failed = p.discover(ctx); p.failed == nil {
			d.read = now
			p.current = d
		}
	}
	if p.failed != nil && (p.current == nil || now.Sub(p.current.read) >= documentStale) {
		return nil, unreachable(p.failed)
	}
	return p.current, nil
}

// unreachable returns errProvider with a cause.
func unreachable(err error) error { return errProvider.WithRetryAfter(retryAfter).WithCause(err) }

// discover reads the document.
func (p *provider) discover(ctx context.Context) (*document, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.Issuer)
	if err != nil {
		return nil, err
	}
	d := &document{oidc: found, endpoint: found.Endpoint()}
	if err := found.Claims(&d.endpoints); err != nil {
		return nil, err
	}
	e := &d.endpoint
	for _, text := range []string{e.AuthURL, e.TokenURL, e.DeviceAuthURL, found.UserInfoEndpoint(), d.EndSession} {
		u, err := url.Parse(text)
		if err == nil && text != "" {
			err = checkScheme(u)
		}
		if err != nil {
			return nil, fmt.Errorf("the discovery document: %w", err)
		}
	}
	if e.AuthURL == "" || e.TokenURL == "" {
		return nil, errors.New("the discovery document has no authorization or token endpoint")
	}
	// The style must be fixed: package oauth2 would otherwise send a code that was refused a second
	// time.
	e.AuthStyle = oauth2.AuthStyleInHeader
	basic := len(d.AuthStyles) == 0 || slices.Contains(d.AuthStyles, "client_secret_basic")
	if p.ClientSecret == "" || !basic {
		e.AuthStyle = oauth2.AuthStyleInParams
	}
	return d, nil
}

// config returns the client of the provider.
func (p *provider) config(d *document) *oauth2.Config {
	scopes := p.Scopes
	if !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret.Value(), Endpoint: d.endpoint,
		RedirectURL: p.redirectURI, Scopes: scopes}
}

// context returns a context in which package oauth2 uses the client of the provider.
func (p *provider) context(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, p.client)
}

// bounded limits the size of responses.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxResponse), resp.Body}
	}
	return resp, err
}

// tokenError returns the error of a request to the token endpoint.
//
// Errors: errCode if the provider rejects the code; errPending, errSlowDown, errExpired and
// errDenied in the device flow; errProvider for all others, such as a wrong client secret.
func tokenError(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		return unreachable(err)
	}
	cause := fmt.Errorf("the token endpoint: status %d, error %.60q", refused.Response.StatusCode, refused.ErrorCode)
	switch refused.ErrorCode {
	case "invalid_grant":
		return errCode.WithCause(cause)
	case "authorization_pending":
		return errPending
	case "slow_down":
		return errSlowDown
	case "expired_token":
		return errExpired
	case "access_denied":
		return errDenied
	}
	return unreachable(cause)
}

// newProvider checks a Provider and sets its defaults.
func (h *Handler) newProvider(given Provider) (*provider, error) {
	if err := given.complete(); err != nil {
		return nil, err
	}
	if _, ok := h.providers[given.Name]; ok {
		return nil, errors.New("there are two of this name")
	}
	next := h.opts.Client.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	client := *h.opts.Client
	client.Transport = bounded{next}
	p := &provider{Provider: given, client: &client, now: func() time.Time { return h.now() },
		redirectURI: h.opts.URL + "/oidc/" + given.Name + "/callback", reading: make(chan struct{}, 1)}
	var err error
	p.keys, err = jwks.Discover(p.Issuer, &jwks.Options{Client: &client, Algorithms: p.Algorithms, Now: p.now})
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "jwks: "))
	}
	return p, nil
}
