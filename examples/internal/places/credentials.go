package places

import (
	"context"
	"errors"
	"io/fs"
	"net/url"

	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
)

// authenticate lets a client of the registry at base log in.
func (p *Places) authenticate(base string, o *client.Options) error {
	realms := p.opts.Realms[:len(p.opts.Realms):len(p.opts.Realms)]
	if u, err := url.Parse(base); err == nil && u.Host == dockerHub {
		realms = append(realms, "auth.docker.io")
	}
	l, err := login.New(base, &login.Options{Source: p.credentials(), Realms: realms, Transport: o.HTTPClient.Transport})
	if err != nil {
		return err
	}
	o.Authorize, o.Challenge = l.Authorize, l.Challenge
	return nil
}

// credentials returns the credentials that docker login has stored. Without a configuration, nobody
// has logged in.
func (p *Places) credentials() login.Source {
	stored := login.DockerConfig(p.opts.DockerConfig)
	return func(ctx context.Context, host string) (login.Credentials, error) {
		found, err := stored(ctx, host)
		if p.opts.DockerConfig == "" && errors.Is(err, fs.ErrNotExist) {
			return login.Credentials{}, nil
		}
		return found, err
	}
}
