package oidc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/registrykit/registry/auth/internal/reload"
)

// Open returns an Authenticator for the providers in YAML files, one in each, and follows the changes
// of the files: see "When changes take effect" in the package comment. It makes no request and starts
// no goroutine. opts may be nil.
//
// Errors: those of [Load] and [New]. Errors after Open has returned go to Options.Error.
func Open(paths []string, opts *Options) (*Authenticator, error) { return open(paths, opts, time.Now) }

func open(paths []string, opts *Options, now func() time.Time) (*Authenticator, error) {
	a, err := empty(opts, now)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("oidc: a provider is missing")
	}
	var providers []Provider
	for _, path := range paths {
		f := a.follow(path)
		if err := f.Read(); err != nil {
			return nil, err
		}
		p := f.Get(context.Background())
		if err := distinct(providers, p.Provider); err != nil {
			return nil, fmt.Errorf("oidc: %s: %w", path, err)
		}
		providers = append(providers, p.Provider)
		a.sources = append(a.sources, source{p.Issuer, func(ctx context.Context) *provider { return f.Get(ctx) }})
	}
	return a, nil
}

// follow returns a file with a provider. What is decided when the program starts cannot change: the
// name, because identities begin with it, and what the keys depend on.
func (a *Authenticator) follow(path string) *reload.File[*provider] {
	var first *provider
	return &reload.File[*provider]{
		Path: path, Max: MaxSize, Now: a.now,
		Parse: func(content []byte) (*provider, error) {
			given, err := Parse(path, content)
			if err != nil {
				return nil, err
			}
			if first == nil {
				p, err := a.open(given)
				if err != nil {
					return nil, fmt.Errorf("oidc: %s: %w", path, err)
				}
				first = p
				return p, nil
			}
			if given.Name != first.Name || given.Issuer != first.Issuer || given.JWKS != first.JWKS ||
				!slices.Equal(given.KeyFiles, first.KeyFiles) || !slices.Equal(given.Algorithms, first.Algorithms) {
				return nil, fmt.Errorf("oidc: %s: name, issuer, jwks, keyFiles and algorithms change with a restart only", path)
			}
			p, err := compile(given, a.now)
			if err != nil {
				return nil, fmt.Errorf("oidc: %s: %w", path, err)
			}
			p.keys = first.keys
			return p, nil
		},
		Fail: func(ctx context.Context, err error) {
			if a.opts.Error != nil {
				a.opts.Error(ctx, err)
			}
		},
	}
}
