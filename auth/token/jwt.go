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
	// maxToken is how many bytes a token has at most: proxies often take headers of 8 KiB.
	maxToken = 7 << 10
	// leeway is how far the clocks of two replicas may be apart. A token is accepted that much
	// before and after the times it states. A minute is what other implementations allow, too.
	leeway = time.Minute
	// scopesClaim is where the identity of a request with a token has the grants of the token. It
	// holds a *verified, which nobody outside this package can make.
	scopesClaim = "registrykit.io/token"
)

// claims are what a token says, in the form of the CNCF registry's tokens, and below it the
// identity.
type claims struct {
	jwt.RegisteredClaims
	Access []grant        `json:"access"`
	Hashes []byte         `json:"access_hashes,omitempty"` // instead of Access, see hashGrants
	Groups []string       `json:"groups,omitempty"`
	Claims map[string]any `json:"claims,omitempty"`
}

var errTooLong = errors.New("token: too long")

// sign makes a token for a list of grants. If the list is too long for a token, it is hashed, and
// if that is too long as well, only the last grants are in the token: the client needs those now,
// and the token is never longer than headers may be.
//
// Errors: errTooLong, if there is too much to say of the identity alone; those of the secrets.
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

// verify returns what a token says.
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

// parse checks a token that is not known yet. Of its header, only kid is looked at, to choose among
// the keys that are here, and alg, which must be the one.
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

// newParser returns what checks all of a token but the key.
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
