package token

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/registrykit/registry/auth"
)

// Defaults of [Options].
const (
	DefaultPath     = "/v2/token"
	DefaultService  = "registry"
	DefaultLifetime = 5 * time.Minute
	// MinLifetime is the least Lifetime: clients take a token for good for a minute, whatever it
	// says.
	MinLifetime = time.Minute
	// MaxLifetime is the greatest Lifetime.
	MaxLifetime = time.Hour
)

// Options are the options of [New]. nil is the zero Options.
type Options struct {
	// Path is the URL path of the endpoint. It must be one that no repository can have. Default:
	// DefaultPath.
	Path string
	// Realm is the whole URL of the endpoint, as clients reach it. They send passwords there: http
	// only where these may travel in the clear. Default: Path below ExternalURL.
	Realm string
	// ExternalURL is the URL of the registry as clients reach it, such as
	// "https://registry.example". Set it if a proxy changes the name, the scheme or the path.
	// Default: the name by which the client came, with https unless that name is loopback and the
	// connection has no TLS.
	ExternalURL string
	// PlainHTTP permits a realm with http for names other than loopback, if the client came without
	// TLS. Clients then send passwords and tokens in the clear. Without it, such clients are sent
	// to an https URL, and cannot log in if nothing answers there.
	PlainHTTP bool
	// TrustedProxies are the addresses of proxies whose X-Forwarded-Host and X-Forwarded-Proto are
	// believed. Default: none.
	TrustedProxies []netip.Prefix
	// Service names the registry: audience and issuer of its tokens. Registries that share secrets
	// but not users must differ in it. Default: DefaultService.
	Service string
	// Lifetime is how long a token counts, from MinLifetime to MaxLifetime. Default:
	// DefaultLifetime.
	Lifetime time.Duration
	// Keys are the names of the shared secrets that keys are made from. Tokens are signed with the
	// first, and accepted of all. Default: "token".
	//
	// To change the key without refusing anybody, add a name at the end in all replicas, then move
	// it to the front, and after a Lifetime drop the old one and remove its secret. To refuse all
	// tokens that are out, remove the secret: each replica notices within a minute.
	Keys []string
	// Claims chooses what of identity.Claims a token carries, as JSON; its bearer can read it. It
	// must be what the Authorizer needs. Numbers come back as float64, lists as []any. Default:
	// strings, numbers, booleans, and lists of strings; what else there is, such as the host's
	// record of the user, does not leave the process.
	Claims func(identity auth.Identity) map[string]any
	// Always asks for tokens also if nobody may do anything without credentials.
	Always bool
	// Audit is told of each scope that is asked for, and of each login. nil: nobody is.
	Audit auth.AuditFunc
	// Error is told why a request to the endpoint was answered with 500. nil: nobody is.
	Error func(ctx context.Context, err error)
}

// Service is the endpoint that hands out tokens, the [auth.Authenticator] that knows them again, and
// the [auth.Authorizer] that holds their bearers to the scopes. It is safe for concurrent use.
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
	_ auth.Authorizer    = (*Service)(nil)
	_ auth.Explainer     = (*Service)(nil)
	_ auth.Prefixer      = (*Service)(nil)
	_ http.Handler       = (*Service)(nil)
)

// New returns tokens for the callers that users knows, and for the anonymous, over what rules
// allows them. It starts nothing, and asks secrets not before there is a token to sign or to
// verify. opts may be nil.
//
// It fails if one of the others is nil or an option makes no sense.
func New(secrets Secrets, users auth.Authenticator, rules auth.Authorizer, opts *Options) (*Service, error) {
	if secrets == nil || users == nil || rules == nil {
		return nil, errors.New("token: secrets, users and rules are needed")
	}
	s := &Service{users: users, rules: rules, cache: newCache(), now: time.Now}
	if opts != nil {
		s.opts = *opts
	}
	o := &s.opts
	if o.Path == "" {
		o.Path = DefaultPath
	}
	if o.Service == "" {
		o.Service = DefaultService
	}
	if o.Lifetime == 0 {
		o.Lifetime = DefaultLifetime
	}
	if len(o.Keys) == 0 {
		o.Keys = []string{"token"}
	}
	if o.Claims == nil {
		o.Claims = plainClaims
	}
	switch {
	case !strings.HasPrefix(o.Path, "/") || strings.ContainsAny(o.Path, "\"\\?# %"):
		return nil, errors.New("token: Path must begin with a slash and need no escape")
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

// Authenticate implements [auth.Authenticator]: a Bearer token is one of the endpoint's, and
// everything else is for the Authenticator in front.
func (s *Service) Authenticate(r *http.Request) (auth.Identity, error) {
	token, ok := bearer(r)
	if !ok {
		return s.users.Authenticate(r)
	}
	v, err := s.verify(r.Context(), token)
	if err != nil {
		return auth.Identity{}, err
	}
	return v.identity, nil
}

// Challenge implements [auth.Authenticator]. It asks for a token, or, as long as nobody may do
// anything without credentials, for what the Authenticator in front asks for.
func (s *Service) Challenge(r *http.Request, accesses []auth.Access) string {
	token, ok := bearer(r)
	if !ok && !s.opts.Always && !auth.AllowsAnonymous(r.Context(), s.rules) {
		return s.users.Challenge(r, accesses)
	}
	realm := s.realm(r)
	if realm == "" {
		return ""
	}
	challenge := `Bearer realm="` + realm + `",service="` + s.opts.Service + `"`
	if scope := challengeScope(accesses); scope != "" {
		challenge += `,scope="` + scope + `"`
	}
	if ok {
		if _, err := s.verify(r.Context(), token); err != nil {
			challenge += `,error="invalid_token"`
		} else {
			challenge += `,error="insufficient_scope"`
		}
	}
	return challenge
}

// Authorize implements [auth.Authorizer]: what the Authorizer behind allows, and, if the caller has
// come with a token, one of its scopes covers.
func (s *Service) Authorize(ctx context.Context, identity auth.Identity, accesses []auth.Access) error {
	if err := s.rules.Authorize(ctx, identity, accesses); err != nil {
		return err
	}
	return inScope(identity, accesses)
}

// inScope returns auth.ErrScope if the identity is that of a token which does not cover the
// accesses. One for the catalogue covers pulls that are asked for together with the catalogue: then
// it is about the name in the list.
func inScope(identity auth.Identity, accesses []auth.Access) error {
	v, ok := identity.Claims[scopesClaim].(*verified)
	if !ok {
		return nil
	}
	catalogue := auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}
	listed := slices.Contains(accesses, catalogue) && v.grants.covers(catalogue)
	for _, a := range accesses {
		if !v.grants.covers(a) && !(listed && a.Action == auth.Pull) {
			return auth.ErrScope
		}
	}
	return nil
}

// Explain implements [auth.Explainer].
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

// Prefixes implements [auth.Prefixer].
func (s *Service) Prefixes(ctx context.Context, identity auth.Identity) []string {
	return auth.Prefixes(ctx, s.rules, identity)
}

// bearer returns the token of a request, and whether it has one. Of two Authorization headers it is
// nobody's guess which counts.
func bearer(r *http.Request) (string, bool) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	if len(values) > 1 {
		return "", true
	}
	return strings.TrimLeft(token, " "), true
}
