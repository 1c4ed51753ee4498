package token

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/scope"
	"github.com/registrykit/registry/internal/options"
)

// Defaults of [Options].
const (
	DefaultPath     = "/v2/token"
	DefaultService  = "registry"
	DefaultLifetime = 5 * time.Minute
	// MinLifetime is the minimum of Options.Lifetime. Clients use a token for at least a minute,
	// even if it states less.
	MinLifetime = time.Minute
	// MaxLifetime is the maximum of Options.Lifetime.
	MaxLifetime = time.Hour
)

// Options are the options of [New]. A nil *Options means the zero Options: all defaults.
type Options struct {
	// Path is the URL path of the endpoint. It must begin with "/" and need no escapes. It must differ
	// from every path of a repository, also with "/keys" or "/revoke" at its end. The handler of
	// [Service.Handler] must receive requests with these paths, also if they are not below "/v2/".
	// Default: DefaultPath.
	Path string
	// Realm is the complete URL of the endpoint as clients reach it, for challenges. Clients send
	// passwords there, so use http only where passwords may travel unencrypted. If it is set,
	// ExternalURL, PlainHTTP and TrustedProxies have no effect. Default: Path below ExternalURL.
	Realm string
	// ExternalURL is the URL of the registry as clients reach it, such as
	// "https://registry.example". Set it if a proxy changes the name, the scheme or the path. If it
	// is set, PlainHTTP and TrustedProxies have no effect.
	//
	// Default: the name and port in the Host header of the request. The scheme is https. It is http
	// only if the connection has no TLS and the name is loopback or PlainHTTP is set.
	ExternalURL string
	// PlainHTTP permits an http realm for names other than loopback, for clients that connect
	// without TLS. Clients then send passwords and tokens unencrypted. Default: these clients are
	// sent to an https URL, and cannot log in if no server listens there.
	PlainHTTP bool
	// TrustedProxies are the addresses of proxies whose X-Forwarded-Host and X-Forwarded-Proto
	// headers replace the Host header and the scheme of the connection, for the URL in challenges.
	// They have no other effect. Default: none.
	TrustedProxies []netip.Prefix
	// Service is the name of the registry in the token protocol: the parameter service of a
	// challenge, and the audience and issuer of tokens. Registries that share secrets but not users
	// must have different names: otherwise a token of one is valid at the other. The endpoint
	// refuses a request for another service with 400. It must be printable ASCII without spaces,
	// quotes and backslashes. Default: DefaultService.
	Service string
	// Foreign issues an anonymous token for credentials that the Authenticator treats as anonymous, see
	// package auth/foreign: docker sends the credentials for Docker Hub to its mirrors. A request
	// without a scope, as docker login sends it, still gets 401. Default: false, every such request
	// gets 401.
	Foreign bool
	// Resolve returns the name of the repository that a scope is about, for a registry with
	// registry.Options.Resolve: docker asks its mirrors for "library/alpine", which a mirror calls
	// "docker.io/library/alpine". Default: the names are those of the registry.
	Resolve func(repo string) string
	// Lifetime is how long a token is valid, from MinLifetime to MaxLifetime. New returns an error
	// for any other. Default: DefaultLifetime, 5 minutes.
	Lifetime time.Duration
	// Refresh stores refresh tokens. With it, a client that asks for a refresh token at the login gets
	// one, if the Authenticator that New was given is an [auth.Renewer] and renews the caller. docker
	// then stores it instead of the password. Each use renews the caller again, so a refresh token
	// becomes invalid when the caller is disabled or removed, or the password or secret of the login
	// is changed or revoked.
	// Default: nil, no refresh tokens.
	Refresh *RefreshTokens
	// Keys are the names of the shared secrets that keys are derived from. Tokens are signed with
	// the first key and accepted with any. Default: "token".
	//
	// To change the key without refusing valid tokens, first add a name at the end of the list in
	// all replicas. When services that read [Service.JWKS] have had two minutes to read the new key,
	// move it to the front in all. After a Lifetime and a minute, drop the old name and remove its
	// secret. Refresh tokens do not depend on keys.
	//
	// To refuse all access tokens issued so far, remove the secrets of all these names by
	// Store.RemoveSharedSecret of package storage. Each replica notices within a minute, or within
	// ten if it cannot read the storage.
	Keys []string
	// Claims returns the part of identity.Claims that a token contains, as JSON. Claims that it
	// leaves out are missing when the token is used. It must include what the Authorizer needs: a
	// rule that denies callers with a claim does not match without that claim, and so denies
	// nothing. Claims of packages of this module, whose names begin with "registrykit.io/", are always
	// included. The bearer of the token can read the claims. When the token is used, numbers are
	// float64 and lists are []any. Default: strings, numbers, booleans and lists of strings. Any
	// other value, such as a struct with private data about the user, is left out.
	Claims func(identity auth.Identity) map[string]any
	// Always makes the challenge ask for tokens even if the Authorizer allows anonymous callers
	// nothing. Default: in that case, the challenge asks for what the Authenticator that New was
	// given accepts, such as passwords.
	Always bool
	// Audit receives a decision for each access of each requested scope, and for each request to
	// the endpoint that has no scopes or whose credentials are refused. It receives nothing about
	// requests to the registry, and Audit of the registry's Options nothing about the endpoint: set
	// both. Default: none.
	Audit auth.AuditFunc
	// Error receives the reason when the endpoint responds with 500 or 503, or issues no refresh
	// token because of a failure. Default: none.
	Error func(ctx context.Context, err error)
}

// Service is the endpoint that issues tokens, the [auth.Authenticator] that verifies them, and the
// [auth.Authorizer] that limits their bearers to the scopes. It is safe for concurrent use.
type Service struct {
	users  auth.Authenticator
	rules  auth.Authorizer
	opts   Options
	keys   keyring
	cache  *cache
	parser *jwt.Parser
	now    func() time.Time
}

var (
	_ auth.Authenticator = (*Service)(nil)
	_ auth.Renewer       = (*Service)(nil)
	_ auth.Authorizer    = (*Service)(nil)
	_ auth.Explainer     = (*Service)(nil)
	_ auth.Prefixer      = (*Service)(nil)
	_ http.Handler       = (*Service)(nil)
)

// New returns a Service that issues tokens to the callers that users authenticates and to anonymous
// callers. For a request without credentials, users must return the zero Identity and no error, as
// [auth.Authenticator] says; otherwise anonymous callers get no tokens. Tokens contain the scopes
// that rules allows. secrets is usually the Store of the registry. opts may be nil.
//
// New returns an error if secrets, users or rules is nil, or if an option is invalid. It starts no
// goroutine. It does not read secrets, so an error of theirs shows only when the first token is
// signed or verified.
func New(secrets Secrets, users auth.Authenticator, rules auth.Authorizer, opts *Options) (*Service, error) {
	if secrets == nil || users == nil || rules == nil {
		return nil, errors.New("token: secrets, users and rules must not be nil")
	}
	s := &Service{users: users, rules: rules, opts: options.Value(opts), cache: newCache(), now: time.Now}
	o := &s.opts
	options.Default(&o.Path, DefaultPath)
	options.Default(&o.Service, DefaultService)
	options.Default(&o.Lifetime, DefaultLifetime)
	if len(o.Keys) == 0 {
		o.Keys = []string{"token"}
	}
	if o.Claims == nil {
		o.Claims = plainClaims
	}
	switch {
	case !strings.HasPrefix(o.Path, "/") || strings.ContainsAny(o.Path, "\"\\?# %"):
		return nil, errors.New("token: Path must begin with a slash and need no escapes")
	case strings.ContainsFunc(o.Service, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }):
		return nil, errors.New("token: Service must be printable ASCII without spaces, quotes and backslashes")
	case o.Lifetime < MinLifetime || o.Lifetime > MaxLifetime:
		return nil, errors.New("token: Lifetime must be between a minute and an hour")
	}
	if err := o.setRealm(); err != nil {
		return nil, err
	}
	now := func() time.Time { return s.now() }
	s.keys = keyring{secrets: secrets, names: o.Keys, now: now}
	s.parser = newParser(o.Service, now)
	return s, nil
}

// plainClaims is the default of Options.Claims.
func plainClaims(identity auth.Identity) map[string]any {
	plain := make(map[string]any)
	for key, value := range identity.Claims {
		switch v := reflect.ValueOf(value); {
		case !v.IsValid():
		case v.Kind() == reflect.String, v.CanInt(), v.CanUint(), v.CanFloat(), v.Kind() == reflect.Bool,
			v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String:
			plain[key] = value
		}
	}
	return plain
}

// Authenticate implements [auth.Authenticator]. It verifies a Bearer token itself if the token is a
// JWT. It passes every other request to the Authenticator that New was given, which may accept other
// Bearer tokens.
//
// Errors: auth.ErrCredentials for an invalid token, or a Bearer token for which that Authenticator
// returns no name; those of the secrets; those of that Authenticator.
func (s *Service) Authenticate(r *http.Request) (auth.Identity, error) {
	token, ok := scope.Bearer(r)
	switch {
	case !ok:
		return s.users.Authenticate(r)
	case len(r.Header["Authorization"]) > 1: // it is unclear which header counts
		return auth.Identity{}, auth.ErrCredentials
	case strings.Count(token, ".") != 2:
		identity, err := s.users.Authenticate(r)
		if err == nil && identity.Anonymous() {
			return auth.Identity{}, auth.ErrCredentials
		}
		return identity, err
	}
	v, err := s.verify(r.Context(), token)
	if err != nil {
		return auth.Identity{}, err
	}
	return v.identity, nil
}

// Renew implements [auth.Renewer]. It asks the Authenticator that New was given. The identity of a
// token of this Service cannot be renewed.
//
// Errors: those of [auth.Renew].
func (s *Service) Renew(ctx context.Context, identity auth.Identity) (auth.Identity, error) {
	if _, ok := identity.Claims[scopesClaim]; ok {
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Renew(ctx, s.users, identity)
}

// Challenge implements [auth.Authenticator]. It asks for a token. If the request has no token and
// [auth.AllowsAnonymous] reports false, it returns the challenge of the Authenticator that New was
// given; see Options.Always. It decides for each challenge, because rules may change. It returns ""
// if the request names no usable host: the 401 then has no challenge, and clients cannot log in.
func (s *Service) Challenge(r *http.Request, accesses []auth.Access) string {
	if _, ok := scope.Bearer(r); !ok && !s.opts.Always && !auth.AllowsAnonymous(r.Context(), s.rules) {
		return s.users.Challenge(r, accesses)
	}
	realm := s.realm(r)
	if realm == "" {
		return ""
	}
	return scope.Challenge(r, realm, s.opts.Service, accesses, func(token string) error {
		_, err := s.verify(r.Context(), token)
		return err
	})
}

// Authorize implements [auth.Authorizer]. It allows what the Authorizer that New was given allows,
// and asks it first. If the caller has a token, a scope of the token must also cover each access.
//
// Errors: those of that Authorizer; auth.ErrScope if no scope covers an access.
func (s *Service) Authorize(ctx context.Context, identity auth.Identity, accesses []auth.Access) error {
	if err := s.rules.Authorize(ctx, identity, accesses); err != nil {
		return err
	}
	return inScope(identity, accesses)
}

// inScope returns auth.ErrScope if the identity is that of a token that does not cover the
// accesses.
func inScope(identity auth.Identity, accesses []auth.Access) error {
	if v, ok := identity.Claims[scopesClaim].(*verified); ok {
		return v.grants.Check(accesses)
	}
	return nil
}

// Explain implements [auth.Explainer]. If the scopes of the token refuse an access, the rule is
// "the scopes of the token".
//
// Errors: those of Authorize.
func (s *Service) Explain(ctx context.Context, identity auth.Identity, accesses []auth.Access) (rule string,
	err error) {
	if rule, err = auth.Explain(ctx, s.rules, identity, accesses); err != nil {
		return rule, err
	}
	if err = inScope(identity, accesses); err != nil {
		rule = "the scopes of the token"
	}
	return rule, err
}

// Prefixes implements [auth.Prefixer]. The prefixes are those of the Authorizer that New was given.
func (s *Service) Prefixes(ctx context.Context, identity auth.Identity) []string {
	return auth.Prefixes(ctx, s.rules, identity)
}
