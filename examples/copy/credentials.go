package main

import (
	"context"
	"errors"
	"io/fs"
	"net/url"

	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
)

// authenticate lets a client of the registry at base log in.
func (c *config) authenticate(base string, o *client.Options) error {
	realms := []string(c.realms)
	if u, err := url.Parse(base); err == nil && u.Host == dockerHub {
		realms = append(realms, "auth.docker.io")
	}
	l, err := login.New(base, &login.Options{Source: c.credentials(), Realms: realms, Transport: o.HTTPClient.Transport})
	if err != nil {
		return err
	}
	o.Authorize, o.Challenge = l.Authorize, l.Challenge
	return nil
}

// credentials returns the credentials that docker login has stored. Without a configuration, nobody
// has logged in.
func (c *config) credentials() login.Source {
	stored := login.DockerConfig(c.dockerConfig)
	return func(ctx context.Context, host string) (login.Credentials, error) {
		found, err := stored(ctx, host)
		if c.dockerConfig == "" && errors.Is(err, fs.ErrNotExist) {
			return login.Credentials{}, nil
		}
		return found, err
	}
}
