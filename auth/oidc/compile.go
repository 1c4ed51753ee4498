package oidc

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/registrykit/registry/auth/internal/jwks"
)

const (
	maxName  = 32 // of a provider, in bytes
	maxText  = 512
	maxRules = 1000
	maxList  = 100 // elements of a list in a configuration
)

// provider is a compiled Provider. It never changes.
type provider struct {
	Provider
	keys      *jwks.Set
	validator *jwt.Validator
	leeway    time.Duration
	rules     []rule
}

// mistake is an error with its place in a Provider.
type mistake struct {
	rule  int // the index of the rule, or -1
	field string
	index int // in a field that is a list
	err   error
}

func (m *mistake) Error() string {
	text := m.field + ": " + m.err.Error()
	if m.field == "" {
		text = m.err.Error()
	}
	if m.rule >= 0 {
		text = fmt.Sprintf("rule %d: %s", m.rule, text)
	}
	return text
}

func (m *mistake) Unwrap() error { return m.err }

func wrong(field string, i int, format string, args ...any) error {
	return &mistake{rule: -1, field: field, index: i, err: fmt.Errorf(format, args...)}
}

var (
	providerName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	robotName    = regexp.MustCompile(`^[a-z0-9]+([._-]+[a-z0-9]+)*\+[a-z0-9]+([._-]+[a-z0-9]+)*$`)
)

// algorithms are those that a Provider may permit.
func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// compile compiles all of a Provider but its keys.
//
// Errors: *mistake.
func compile(given Provider, now func() time.Time) (*provider, error) {
	given.OtherAudiences, given.Parties = slices.Clone(given.OtherAudiences), slices.Clone(given.Parties)
	p := &provider{Provider: given, leeway: max(given.Leeway, 0)}
	if given.Leeway == 0 {
		p.leeway = DefaultLeeway
	}
	if err := check(&given); err != nil {
		return nil, err
	}
	p.validator = jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(p.leeway),
		jwt.WithIssuer(given.Issuer), jwt.WithTimeFunc(now))
	switch n := len(given.Rules); {
	case n == 0:
		return nil, wrong("rules", 0, "none is given, so that no token is accepted")
	case n > maxRules:
		return nil, wrong("rules", 0, "more than %d", maxRules)
	}
	for i := range given.Rules {
		r, err := compileRule(&given, i)
		if err != nil {
			var m *mistake
			if errors.As(err, &m) {
				m.rule = i
			}
			return nil, err
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// check returns an error for an invalid field of a Provider, other than Rules.
func check(p *Provider) error {
	switch {
	case len(p.Name) > maxName || !providerName.MatchString(p.Name):
		return wrong("name", 0, "%.100q must have 1 to %d lower-case letters, digits and single hyphens", p.Name, maxName)
	case p.Issuer == "" || len(p.Issuer) > maxText:
		return wrong("issuer", 0, "it must have 1 to %d bytes", maxText)
	case p.Audience == "" || len(p.Audience) > maxText:
		return wrong("audience", 0, "it must have 1 to %d bytes: otherwise tokens for any service could be used", maxText)
	case p.JWKS != "" && len(p.KeyFiles) > 0:
		return wrong("keyFiles", 0, "keys are at a URL or in files, not both")
	case p.MaxAge < 0:
		return wrong("maxAge", 0, "it must not be negative")
	case p.Leeway > time.Hour:
		return wrong("leeway", 0, "more than an hour")
	}
	for field, list := range map[string][]string{"otherAudiences": p.OtherAudiences, "parties": p.Parties,
		"keyFiles": p.KeyFiles} {
		if len(list) > maxList {
			return wrong(field, 0, "more than %d", maxList)
		}
		if i := slices.Index(list, ""); i >= 0 {
			return wrong(field, i, "it is empty")
		}
	}
	for i, a := range p.Algorithms {
		if !slices.Contains(algorithms(), a) {
			return wrong("algorithms", i, "%.100q is not one of %v", a, algorithms())
		}
	}
	return nil
}

// open compiles a Provider and its keys.
func (a *Authenticator) open(given Provider) (*provider, error) {
	p, err := compile(given, a.now)
	if err != nil {
		return nil, err
	}
	p.keys, err = a.openKeys(given)
	return p, err
}

// openKeys returns the keys of a provider. It reads files, and makes no request.
func (a *Authenticator) openKeys(p Provider) (*jwks.Set, error) {
	opts := &jwks.Options{Client: a.opts.Client, Algorithms: p.Algorithms, Now: a.now}
	switch {
	case len(p.KeyFiles) > 0:
		return jwks.Files(p.KeyFiles, opts)
	case p.JWKS != "":
		return jwks.New(p.JWKS, opts)
	}
	return jwks.Discover(p.Issuer, opts)
}
