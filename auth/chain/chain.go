// Package chain combines several Authenticators into one: client certificates for machines and
// passwords for people, or the API keys of a program beside a password file.
//
// [New] takes the Authenticators in order, and the [Chain] asks one after the other:
//
//   - The first that knows the caller decides.
//   - If one refuses the credentials, or does not check them because of a limit, the next is asked:
//     it may know the same kind of credentials.
//   - If the request has credentials and no Authenticator accepts them, the request is refused. It
//     is never treated as anonymous, because "docker login" with a wrong password must fail.
//
// # Challenges
//
// A 401 contains one challenge. RFC 9110 permits several in one header, but docker, containerd and
// other clients read everything after the first one as its parameters, or see none at all. The
// Chain sends, in this order of preference:
//
//  1. The challenge of the scheme that the request used, so that a request with a token of too
//     narrow a scope learns which scope it needs.
//  2. The first challenge for Basic or Bearer.
//  3. The first challenge.
//
// Clients that use another scheme must send their credentials without being asked, as clients with
// certificates and API keys do.
package chain

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
)

// Chain asks several Authenticators in order. It is safe for concurrent use if they are.
type Chain struct {
	links []auth.Authenticator
}

var (
	_ auth.Authenticator = (*Chain)(nil)
	_ auth.Renewer       = (*Chain)(nil)
)

// New returns a Chain that asks authenticators in the given order. Put cheap Authenticators first.
// [github.com/registrykit/registry/auth/htpasswd] spends a bcrypt and counts a failure for every
// password that it does not know, including those that a later Authenticator would accept.
//
// New returns an error if authenticators is empty or contains nil.
func New(authenticators ...auth.Authenticator) (*Chain, error) {
	if len(authenticators) == 0 || slices.Contains(authenticators, nil) {
		return nil, errors.New("chain: an Authenticator is missing")
	}
	return &Chain{links: slices.Clone(authenticators)}, nil
}

// Authenticate implements [auth.Authenticator]. The first identity with a name decides. An
// anonymous identity with claims decides, too, because its bearer has shown credentials.
//
// Errors: auth.ErrCredentials if an Authenticator refused, or if no Authenticator recognised the
// Authorization header; *auth.LimitError if one did not check the credentials because of a limit.
// Any other error ends the chain at once, since the Authenticator that failed might have known the
// caller.
func (c *Chain) Authenticate(r *http.Request) (auth.Identity, error) {
	var limited, refused error
	for _, a := range c.links {
		identity, err := a.Authenticate(r)
		switch {
		case err == nil && identity.Anonymous() && len(identity.Claims) == 0:
		case err == nil:
			return identity, nil
		case errors.Is(err, auth.ErrCredentials):
			if refused != nil { // the audit gets every reason
				err = fmt.Errorf("%w; %w", refused, err)
			}
			refused = err
		case errors.As(err, new(*auth.LimitError)):
			limited = first(limited, err)
		default:
			return auth.Identity{}, err
		}
	}
	if refused == nil && len(r.Header["Authorization"]) > 0 {
		refused = fmt.Errorf("unknown kind of credentials: %w", auth.ErrCredentials)
	}
	return auth.Identity{}, first(limited, refused)
}

// Renew implements [auth.Renewer]. The first Authenticator that knows the identity decides.
//
// Errors: auth.ErrCredentials if all return it. Any other error ends the chain at once.
func (c *Chain) Renew(ctx context.Context, identity auth.Identity) (auth.Identity, error) {
	var refused error
	for _, a := range c.links {
		present, err := auth.Renew(ctx, a, identity)
		if !errors.Is(err, auth.ErrCredentials) {
			return present, err
		}
		refused = first(refused, err)
	}
	return auth.Identity{}, refused
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Challenge implements [auth.Authenticator]. It returns one challenge; the package comment says
// which.
func (c *Chain) Challenge(r *http.Request, accesses []auth.Access) string {
	came := ""
	if values := r.Header["Authorization"]; len(values) > 0 {
		came = scheme(values[0])
	}
	best, rank := "", 0
	for _, a := range c.links {
		challenge := a.Challenge(r, accesses)
		if challenge == "" {
			continue
		}
		n := 1
		switch s := scheme(challenge); {
		case came != "" && s == came:
			n = 3
		case s == "basic", s == "bearer":
			n = 2
		}
		if n > rank {
			best, rank = challenge, n
		}
	}
	return best
}

// scheme returns the scheme of credentials or of a challenge, in lower case.
func scheme(s string) string {
	s, _, _ = strings.Cut(s, " ")
	return strings.ToLower(s)
}
