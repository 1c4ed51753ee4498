// Package foreign lets callers in as anonymous who send credentials of another registry.
//
// docker sends the user's credentials for Docker Hub to every mirror of Docker Hub. A mirror that
// knows users of its own must not refuse them: docker would silently go to Docker Hub instead.
package foreign

import (
	"context"
	"errors"
	"net/http"

	"github.com/registrykit/registry/auth"
)

// Anonymous returns an Authenticator that identifies callers as a does, and counts those as
// anonymous whose credentials a refuses. The Authorizer then decides what they may do; if that is
// not enough, they get a 401 with the challenge of a, as other anonymous callers do.
//
// The refused credentials are forgotten: they are neither logged nor kept, and no error has them.
//
// Callers who mistype a password are anonymous, too. docker login still tells them, because
// GET /v2/ asks anonymous callers for credentials. Otherwise they see it when they need more than an
// anonymous caller may do. Callers whose guesses a has limited, see [auth.LimitError], are
// anonymous as well, because docker would otherwise spend the limit with each pull. So nobody can
// find a password faster than a allows.
func Anonymous(a auth.Authenticator) auth.Authenticator { return authenticator{a} }

type authenticator struct{ auth.Authenticator }

// Authenticate implements [auth.Authenticator].
func (a authenticator) Authenticate(r *http.Request) (auth.Identity, error) {
	identity, err := a.Authenticator.Authenticate(r)
	var limit *auth.LimitError
	if errors.Is(err, auth.ErrCredentials) || errors.As(err, &limit) {
		return auth.Identity{}, nil
	}
	return identity, err
}

// Renew implements [auth.Renewer] by that of the wrapped Authenticator. Anonymous callers are not renewed.
//
// Errors: those of [auth.Renew].
func (a authenticator) Renew(ctx context.Context, identity auth.Identity) (auth.Identity, error) {
	return auth.Renew(ctx, a.Authenticator, identity)
}
