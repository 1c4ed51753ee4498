package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/registrykit/registry/auth"
)

const (
	// maxToken is the maximum length of a token, in bytes. Proxies often limit headers to 8 KiB.
	maxToken = 7 << 10
	// leeway is the permitted difference between the clocks of two replicas. A token is accepted
	// that long before and after the times it states. Other implementations also allow a minute.
	leeway = time.Minute
	// scopesClaim is the claim of an identity that holds the *verified of its token. Only this
	// package can create a *verified, so no other source of claims can forge one.
	scopesClaim = "registrykit.io/token"
)

// claims is the content of a token: the fields of the tokens of the CNCF registry, and then the
// groups and claims of the identity.
type claims struct {
	jwt.RegisteredClaims
	Access []grant        `json:"access"`
	Hashes []byte         `json:"access_hashes,omitempty"` // instead of Access, see hashGrants
	Groups []string       `json:"groups,omitempty"`
	Claims map[string]any `json:"claims,omitempty"`
}

var errTooLong = errors.New("token: too long")

// sign returns a token for a list of grants. If the list is too long for a token, the token
// contains hashes. If these are too long, it contains only the last grants, because the client
// needs those now.
//
// Errors: errTooLong if the identity alone is too long; those of the secrets.
func (s *Service) sign(ctx context.Context, identity auth.Identity, list []grant, now time.Time) (string, error) {
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
		Access: list,
		Groups: identity.Groups,
		Claims: s.opts.Claims(identity),
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
		case len(list) == 0:
			return "", errTooLong
		case c.Hashes != nil:
			list = list[min(excess/hashedInToken+1, len(list)):]
		}
		c.Access, c.Hashes = []grant{}, hashGrants(list)
	}
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
	v := &verified{grants: grants{c.Access, c.Hashes}, kid: t.Header["kid"].(string), expires: c.ExpiresAt.Add(leeway)}
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
