package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/jwks"
)

// retryAfter is when a client should try again while the keys of an issuer cannot be read: the
// registry does not ask for them more often.
const retryAfter = jwks.DefaultMinInterval

// verify returns the login of a token of the provider.
//
// Errors: auth.ErrCredentials with the reason; *auth.UnavailableError.
func (p *provider) verify(ctx context.Context, token string, now time.Time) (login, error) {
	payload, signer, err := p.keys.Verify(ctx, token)
	switch {
	case errors.Is(err, jwks.ErrSignature):
		return login{}, refused("%w", err)
	case err != nil:
		return login{}, unavailable(err)
	}
	c, err := parseClaims(payload)
	if err != nil {
		return login{}, refused("%w", err)
	}
	until, err := p.checkTimes(c, now)
	if err != nil {
		return login{}, refused("%w", err)
	}
	if err := p.checkParties(c); err != nil {
		return login{}, refused("%w", err)
	}
	for i := range p.rules {
		r := &p.rules[i]
		if !r.matches(c.values) {
			continue
		}
		identity, err := r.identify(p.Name, c.values)
		if err != nil {
			return login{}, refused("%s: %w", r.name, err)
		}
		return login{p, signer, identity, until}, nil
	}
	sub, _ := c.values["sub"].(string)
	return login{}, refused("no rule matches the token with sub %.200q", sub)
}

// unavailable returns the error of a login while the keys of the issuer cannot be read.
func unavailable(err error) error { return &auth.UnavailableError{RetryAfter: retryAfter, Err: err} }

// refused returns an auth.ErrCredentials with a reason.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fmt.Errorf(format, args...), auth.ErrCredentials)
}

// checkTimes checks the issuer and the times of a token, and returns when it ends.
func (p *provider) checkTimes(c *claims, now time.Time) (time.Time, error) {
	registered := jwt.MapClaims{"iss": c.values["iss"]}
	for _, name := range []string{"exp", "nbf", "iat"} {
		if n, ok := c.numbers[name]; ok {
			registered[name] = n
		} else if _, ok := c.values[name]; ok {
			return time.Time{}, fmt.Errorf("the claim %s is no number", name)
		}
	}
	if err := p.validator.Validate(registered); err != nil {
		return time.Time{}, fmt.Errorf("%w (exp %v, nbf %v, iat %v; it is %d)", err, registered["exp"], registered["nbf"],
			registered["iat"], now.Unix())
	}
	exp, err := registered.GetExpirationTime()
	if err != nil || exp == nil {
		return time.Time{}, errors.New("the claim exp is missing")
	}
	until := exp.Add(p.leeway)
	if p.MaxAge > 0 {
		iat, err := registered.GetIssuedAt()
		if err != nil || iat == nil {
			return time.Time{}, errors.New("the claim iat is missing, and the configuration has a maximum age")
		}
		end := iat.Add(p.MaxAge + p.leeway)
		if !now.Before(end) {
			return time.Time{}, fmt.Errorf("the token is older than %v", p.MaxAge)
		}
		if end.Before(until) {
			until = end
		}
	}
	return until, nil
}

// checkParties checks for whom the token was issued.
func (p *provider) checkParties(c *claims) error {
	var audience []string
	switch v := c.values["aud"].(type) {
	case string:
		audience = []string{v}
	case []string:
		audience = v
	}
	if !slices.Contains(audience, p.Audience) {
		return fmt.Errorf("the audience is %.300q and not %q", audience, p.Audience)
	}
	for _, a := range audience {
		if a != p.Audience && !slices.Contains(p.OtherAudiences, a) {
			return fmt.Errorf("the token is also for %.200q, which is not one of the other audiences", a)
		}
	}
	if len(p.Parties) > 0 {
		if azp, _ := c.values["azp"].(string); !slices.Contains(p.Parties, azp) {
			return fmt.Errorf("the authorised party is %.200q", azp)
		}
	}
	return nil
}
