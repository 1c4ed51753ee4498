package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/fingerprint"
	"github.com/registrykit/registry/auth/internal/scope"
)

const (
	// maxToken is the maximum length of a token, in bytes. Proxies often limit headers to 8 KiB.
	maxToken = 7 << 10
	// leeway is the permitted difference between the clocks of two replicas. A token is accepted
	// that long before and after the times it states. Other implementations also allow a minute.
	leeway = time.Minute
	// scopesClaim is the claim of an identity that holds the *verified of its token. Only this
	// package can create a *verified, so no other source of claims can forge one.
	scopesClaim = auth.ScopesClaim
	// ownClaims is the prefix of the names of claims that only packages of this module set.
	ownClaims = fingerprint.Reserved
)

// claims is the content of a token: the fields of the tokens of the CNCF registry, and then the
// groups and claims of the identity.
type claims struct {
	jwt.RegisteredClaims
	scope.Grants
	Groups []string       `json:"groups,omitempty"`
	Claims map[string]any `json:"claims,omitempty"`
}

var errTooLong = errors.New("token: too long")

// sign returns a token for a list of grants. If it would be too long, it leaves the groups out, as
// far as the Authorizer does not need them: others may put the caller into many groups. If the list
// is too long for a token, the token contains hashes. If these are too long, it contains only the
// last grants, because the client needs those now.
//
// Errors: errTooLong if the identity alone is too long; those of the secrets.
func (s *Service) sign(ctx context.Context, identity auth.Identity, list []scope.Grant, now time.Time) (string, error) {
	k, err := s.keys.get(ctx)
	if err != nil {
		return "", err
	}
	c := &claims{
		RegisteredClaims: jwt.RegisteredClaims{
			ID:        rand.Text(),
			Issuer:    s.opts.Service,
			Subject:   identity.Name,
			Audience:  jwt.ClaimStrings{s.opts.Service},
			IssuedAt:  jwt.NewNumericDate(now),
			NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(s.opts.Lifetime)),
		},
		Grants: scope.Grants{Access: list},
		Groups: identity.Groups,
		Claims: s.claims(identity),
	}
	t := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	t.Header["kid"] = k.kid
	for {
		signed, err := t.SignedString(k.sign)
		if err != nil {
			return "", fmt.Errorf("token: %w", err)
		}
		excess := len(signed) - maxToken
		switch {
		case excess <= 0:
			return signed, nil
		case len(c.Groups) > 0 && s.knowsGroups(identity):
			c.Groups = nil
			continue
		case len(list) == 0:
			return "", errTooLong
		case c.Hashes != nil:
			list = list[min(excess/scope.HashedInToken+1, len(list)):]
		}
		c.Access, c.Hashes = []scope.Grant{}, scope.Hash(list)
	}
}

// knowsGroups reports whether the Authorizer reads the groups of a caller itself, as that of package
// accounts does.
func (s *Service) knowsGroups(identity auth.Identity) bool {
	a, ok := s.rules.(interface {
		KnowsGroups(identity auth.Identity) bool
	})
	return ok && a.KnowsGroups(identity)
}

// claims returns the claims of an identity that a token contains: those of Options.Claims, and those
// of the packages of this module, which their Authorizers need to deny what a narrow secret does not
// permit. Options.Claims cannot add any of the latter.
func (s *Service) claims(identity auth.Identity) map[string]any {
	all := make(map[string]any)
	for name, value := range s.opts.Claims(identity) {
		if !strings.HasPrefix(name, ownClaims) {
			all[name] = value
		}
	}
	for name, value := range plainClaims(identity) {
		if strings.HasPrefix(name, ownClaims) {
			all[name] = value
		}
	}
	return all
}

// verify returns the content of a token.
//
// Errors: auth.ErrCredentials; those of the secrets.
func (s *Service) verify(ctx context.Context, token string) (*verified, error) {
	if len(token) > maxToken {
		return nil, fmt.Errorf("%w: %w", auth.ErrCredentials, errTooLong)
	}
	k, err := s.keys.get(ctx)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(token))
	if v, ok := s.cache.Get(hash); ok {
		switch {
		case !s.now().Before(v.expires):
			return nil, fmt.Errorf("%w: the token has expired", auth.ErrCredentials)
		case k.byID[v.kid] == nil:
			return nil, fmt.Errorf("%w: the key of the token was removed", auth.ErrCredentials)
		}
		return v, nil
	}
	v, err := s.parse(token, k)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrCredentials, err)
	}
	s.cache.Add(hash, v, 1)
	return v, nil
}

// parse verifies a token that is not in the cache. It uses only two fields of the header: kid,
// which chooses among the keys of this registry, and alg, which must be EdDSA.
func (s *Service) parse(token string, k *keys) (*verified, error) {
	var c claims
	t, err := s.parser.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		if public := k.byID[kid]; public != nil {
			return public, nil
		}
		return nil, errors.New("unknown key")
	})
	if err != nil {
		return nil, err
	}
	v := &verified{grants: c.Grants, kid: t.Header["kid"].(string), expires: c.ExpiresAt.Add(leeway)}
	all := make(map[string]any, len(c.Claims)+1)
	maps.Copy(all, c.Claims)
	all[scopesClaim] = v
	v.identity = auth.Identity{Name: c.Subject, Groups: c.Groups, Claims: all}
	return v, nil
}

// newParser returns a parser that checks everything in a token except the key.
func newParser(service string, now func() time.Time) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
		jwt.WithStrictDecoding(),
		jwt.WithIssuer(service),
		jwt.WithAudience(service),
		jwt.WithExpirationRequired(),
		jwt.WithNotBeforeRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(leeway),
		jwt.WithTimeFunc(now),
	)
}
