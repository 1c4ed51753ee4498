package oidc

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
	"github.com/registrykit/registry/auth/internal/jwks"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
)

// maxVerified is the maximum number of accepted tokens that an Authenticator remembers.
const maxVerified = 10_000

// Authenticator implements [auth.Authenticator] and [auth.Renewer]. It is safe for concurrent use.
type Authenticator struct {
	opts      Options
	challenge string
	sources   []source
	verified  *lru.Cache[[sha256.Size]byte, login]
	now       func() time.Time
}

// source is a provider, which changes when its file changes.
type source struct {
	issuer string
	get    func(ctx context.Context) *provider
}

// login is a token that was accepted.
type login struct {
	provider *provider       // the login counts only while this is the current provider of its issuer
	signer   jwks.Thumbprint // and while this is one of its keys
	identity auth.Identity
	until    time.Time
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Renewer       = (*Authenticator)(nil)
)

// New returns an Authenticator for the tokens of providers. It makes no request, so it does not
// matter whether the providers can be reached. opts may be nil.
//
// New returns an error if a provider or an option is invalid, or if two providers have the same
// name or issuer.
func New(providers []Provider, opts *Options) (*Authenticator, error) {
	return newAuthenticator(providers, opts, time.Now)
}

func newAuthenticator(providers []Provider, opts *Options, now func() time.Time) (*Authenticator, error) {
	a, err := empty(opts, now)
	if err != nil {
		return nil, err
	}
	if len(providers) == 0 {
		return nil, errors.New("oidc: a provider is missing")
	}
	for i, given := range providers {
		p, err := a.open(given)
		if err != nil {
			return nil, fmt.Errorf("oidc: provider %q: %w", given.Name, err)
		}
		if err := distinct(providers[:i], given); err != nil {
			return nil, fmt.Errorf("oidc: %w", err)
		}
		a.sources = append(a.sources, source{p.Issuer, func(context.Context) *provider { return p }})
	}
	return a, nil
}

// empty returns an Authenticator without providers.
func empty(opts *Options, now func() time.Time) (*Authenticator, error) {
	a := &Authenticator{opts: options.Value(opts), now: now, verified: lru.New[[sha256.Size]byte, login](maxVerified)}
	var err error
	if a.challenge, err = basic.Challenge(a.opts.Realm); err != nil {
		return nil, fmt.Errorf("oidc: %w", err)
	}
	return a, nil
}

// distinct returns an error if a provider has the name or the issuer of an earlier one.
func distinct(earlier []Provider, p Provider) error {
	for _, e := range earlier {
		if e.Name == p.Name {
			return fmt.Errorf("two providers have the name %q", p.Name)
		}
		if e.Issuer == p.Issuer {
			return fmt.Errorf("two providers have the issuer %q", p.Issuer)
		}
	}
	return nil
}

// Authenticate implements [auth.Authenticator]: an ID token is the password of Basic, with any name, or a Bearer
// token. Other credentials are not those of this package: the identity is then the zero Identity.
//
// Errors: auth.ErrCredentials with a reason for the audit; *auth.UnavailableError if the keys of
// the issuer cannot be read.
func (a *Authenticator) Authenticate(r *http.Request) (auth.Identity, error) {
	token, err := idToken(r)
	if err != nil || token == "" {
		return auth.Identity{}, err
	}
	ctx, hash := r.Context(), sha256.Sum256([]byte(token))
	if l, ok := a.verified.Get(hash); ok {
		current, err := a.current(ctx, &l)
		switch {
		case err != nil:
			return auth.Identity{}, err
		case current:
			return l.identity, nil
		}
		a.verified.Remove(hash)
	}
	p := a.find(ctx, issuer(token))
	if p == nil {
		return auth.Identity{}, nil
	}
	l, err := p.verify(ctx, token, a.now())
	if err != nil {
		return auth.Identity{}, fmt.Errorf("oidc: %s: %w", p.Name, err)
	}
	a.verified.Add(hash, l, 1)
	return l.identity, nil
}

// current reports whether a remembered login still counts.
//
// Errors: *auth.UnavailableError.
func (a *Authenticator) current(ctx context.Context, l *login) (bool, error) {
	if !a.now().Before(l.until) || a.find(ctx, l.provider.Issuer) != l.provider {
		return false, nil
	}
	ok, err := l.provider.keys.Has(ctx, l.signer)
	if err != nil {
		return false, fmt.Errorf("oidc: %s: %w", l.provider.Name, unavailable(err))
	}
	return ok, nil
}

// find returns the provider with an issuer, or nil.
func (a *Authenticator) find(ctx context.Context, issuer string) *provider {
	i := slices.IndexFunc(a.sources, func(s source) bool { return s.issuer == issuer })
	if i < 0 || issuer == "" {
		return nil
	}
	return a.sources[i].get(ctx)
}

// idToken returns the text of a request that has the form of a JWT, or "".
//
// Errors: auth.ErrCredentials.
func idToken(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 || len(values[0]) > basic.MaxHeader {
		return "", nil
	}
	scheme, rest, _ := strings.Cut(values[0], " ")
	token := ""
	switch {
	case strings.EqualFold(scheme, "Basic"):
		login, err := basic.Parse(r)
		if err != nil {
			return "", err
		}
		token = login.Password
	case strings.EqualFold(scheme, "Bearer") && len(values) == 1:
		token = strings.Trim(rest, " ")
	}
	if strings.Count(token, ".") != 2 { // the compact serialisation of a JWT, RFC 7515, section 7.1
		return "", nil
	}
	return token, nil
}

// Challenge implements [auth.Authenticator]. It asks for Basic.
func (a *Authenticator) Challenge(*http.Request, []auth.Access) string { return a.challenge }

// Renew implements [auth.Renewer]. It always fails, because a job logs in again with a new ID token.
func (a *Authenticator) Renew(context.Context, auth.Identity) (auth.Identity, error) {
	return auth.Identity{}, auth.ErrCredentials
}
