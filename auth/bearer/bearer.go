package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/jwks"
	"github.com/registrykit/registry/auth/internal/scope"
	"github.com/registrykit/registry/internal/options"
)

// DefaultLeeway is the default of Options.Leeway.
const DefaultLeeway = time.Minute

// MaxToken is the maximum length of a token, in bytes.
const MaxToken = jwks.MaxToken

// Options are the options of [New]. Realm, Service, Issuer and one of KeyFiles and JWKS are required.
type Options struct {
	// Realm is the URL of the token endpoint, for challenges. Clients send passwords there, so use http only
	// where passwords may travel unencrypted.
	Realm string
	// Service is the name of this registry at the issuer: "service" in challenges, and the audience that
	// tokens must have. It must be printable ASCII without quotes and backslashes. Spaces are permitted, since the
	// examples of docker_auth have "Docker registry".
	Service string
	// Issuer is the claim iss that tokens must have.
	Issuer string
	// KeyFiles are files with the keys of the issuer: PEM (public keys and certificates) or JWKS. Of a certificate
	// only the key counts, and not when it expires.
	KeyFiles []string
	// JWKS is the URL of the keys of the issuer. They are read again when they have changed. It must be https, or
	// http on loopback.
	JWKS string
	// Algorithms are the algorithms of signatures that are accepted: RS256, RS384, RS512, PS256, PS384, PS512,
	// ES256, ES384, ES512 and EdDSA. Default: RS256, ES256, EdDSA.
	Algorithms []string
	// Leeway is the permitted difference between the clocks. Default: one minute; negative: none.
	Leeway time.Duration
	// Map returns the identity and the permissions of a token from its claims, for issuers without Docker's
	// claim "access". Map must not change claims. Numbers in claims are float64, and lists are []any. The name
	// "*" in a permission stands for every repository, and the action auth.All for every action. A permission
	// must have no tag: rules decide about tags. If Map returns an error, the token is refused.
	//
	// Default: the name is the claim sub, the groups are those in the list "groups", and the permissions are those
	// in "access". The identity keeps all claims but "access". If "claims" is an object, as in tokens of package
	// token, the identity has its members, too.
	Map func(claims map[string]any) (auth.Identity, []auth.Access, error)
	// Rules, if set, must allow each access in addition to the token. For callers without a Bearer token, whom
	// another Authenticator has authenticated, Rules alone decides. Default: the token alone decides, and callers
	// without one are denied everything.
	Rules auth.Authorizer
	// Client sends the requests for JWKS. Default: one with a timeout of 10 seconds.
	Client *http.Client
}

// Verifier implements [auth.Authenticator] and [auth.Authorizer]. It is safe for concurrent use.
type Verifier struct {
	opts     Options
	keys     *jwks.Set
	verified *cache
}

var (
	_ auth.Authenticator = (*Verifier)(nil)
	_ auth.Authorizer    = (*Verifier)(nil)
	_ auth.Explainer     = (*Verifier)(nil)
	_ auth.Scoper        = (*Verifier)(nil)
	_ auth.Prefixer      = (*Verifier)(nil)
)

// New returns a Verifier. It reads KeyFiles and makes no request.
//
// New returns an error if a required option is missing, an option is invalid, or a file has no usable key.
func New(opts Options) (*Verifier, error) {
	options.Default(&opts.Leeway, DefaultLeeway)
	opts.Leeway = max(opts.Leeway, 0)
	switch {
	case !usableRealm(opts.Realm):
		return nil, fmt.Errorf("bearer: Realm %q is not the URL of an endpoint", opts.Realm)
	case opts.Service == "" || strings.ContainsFunc(opts.Service, unquotable):
		return nil, errors.New("bearer: Service must be printable ASCII without quotes and backslashes")
	case opts.Issuer == "":
		return nil, errors.New("bearer: Issuer is missing")
	case (len(opts.KeyFiles) == 0) == (opts.JWKS == ""):
		return nil, errors.New("bearer: one of KeyFiles and JWKS is required")
	}
	keyOptions := &jwks.Options{Client: opts.Client, Algorithms: opts.Algorithms}
	var keys *jwks.Set
	var err error
	if opts.JWKS != "" {
		keys, err = jwks.New(opts.JWKS, keyOptions)
	} else {
		keys, err = jwks.Files(opts.KeyFiles, keyOptions)
	}
	if err != nil {
		return nil, fmt.Errorf("bearer: %w", err)
	}
	return &Verifier{opts: opts, keys: keys, verified: newCache()}, nil
}

// unquotable reports whether a character cannot be in the quotes of a challenge.
func unquotable(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }

// usableRealm reports whether clients can use a URL in the quotes of a challenge.
func usableRealm(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil &&
		u.Fragment == "" && !strings.ContainsFunc(s, unquotable) && !strings.Contains(s, " ")
}

// Authenticate implements [auth.Authenticator]. The identity of a request without a Bearer token is the zero
// Identity.
//
// Errors: auth.ErrCredentials for an invalid token; *auth.UnavailableError if the keys cannot be read.
func (v *Verifier) Authenticate(r *http.Request) (auth.Identity, error) {
	token, ok := scope.Bearer(r)
	if !ok {
		return auth.Identity{}, nil
	}
	t, err := v.verify(r.Context(), token)
	if err != nil {
		return auth.Identity{}, err
	}
	return t.identity, nil
}

// Challenge implements [auth.Authenticator]. It asks for a token of the issuer.
func (v *Verifier) Challenge(r *http.Request, accesses []auth.Access) string {
	return scope.Challenge(r, v.opts.Realm, v.opts.Service, accesses, func(token string) error {
		_, err := v.verify(r.Context(), token)
		return err
	})
}

// Authorize implements [auth.Authorizer]: it allows what the token permits and, if Options.Rules is set, the
// rules allow. It asks the rules first.
//
// Errors: those of the rules; auth.ErrScope if the token does not permit an access; auth.ErrDenied for a caller
// without a token if there are no rules.
func (v *Verifier) Authorize(ctx context.Context, identity auth.Identity, accesses []auth.Access) error {
	if v.opts.Rules != nil {
		if err := v.opts.Rules.Authorize(ctx, identity, accesses); err != nil {
			return err
		}
	}
	return v.permitted(identity, accesses)
}

// Explain implements [auth.Explainer]. If the token decides, the rule is "the scopes of the token".
//
// Errors: those of Authorize.
func (v *Verifier) Explain(ctx context.Context, identity auth.Identity, accesses []auth.Access) (rule string,
	err error) {
	return v.decide(ctx, identity, accesses, auth.Explain)
}

// Scope implements [auth.Scoper].
//
// Errors: those of Authorize.
func (v *Verifier) Scope(ctx context.Context, identity auth.Identity, accesses []auth.Access) (rule string,
	err error) {
	return v.decide(ctx, identity, accesses, auth.Scope)
}

// decide asks the rules by ask, which is [auth.Explain] or [auth.Scope], and then the token.
func (v *Verifier) decide(ctx context.Context, identity auth.Identity, accesses []auth.Access,
	ask func(context.Context, auth.Authorizer, auth.Identity, []auth.Access) (string, error)) (string, error) {
	rule := ""
	if v.opts.Rules != nil {
		var err error
		if rule, err = ask(ctx, v.opts.Rules, identity, accesses); err != nil {
			return rule, err
		}
	}
	err := v.permitted(identity, accesses)
	if tokenOf(identity) != nil && (err != nil || v.opts.Rules == nil) {
		rule = "the scopes of the token"
	}
	return rule, err
}

// permitted returns auth.ErrScope unless the token of the identity permits the accesses.
func (v *Verifier) permitted(identity auth.Identity, accesses []auth.Access) error {
	t := tokenOf(identity)
	switch {
	case t != nil:
		return t.permits.check(accesses)
	case v.opts.Rules == nil:
		return auth.ErrDenied
	}
	return nil
}

// Prefixes implements [auth.Prefixer]. They are the names in the token, or the prefixes of the rules if
// the token permits more than names.
func (v *Verifier) Prefixes(ctx context.Context, identity auth.Identity) []string {
	t := tokenOf(identity)
	if t != nil {
		if names, ok := t.permits.names(); ok {
			return names
		}
	}
	switch {
	case v.opts.Rules != nil:
		return auth.Prefixes(ctx, v.opts.Rules, identity)
	case t != nil:
		return []string{""}
	}
	return nil
}
