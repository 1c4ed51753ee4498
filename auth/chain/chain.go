// Package chain asks several Authenticators, one after the other: client certificates for machines
// and passwords for people, or the keys of a program beside a password file.
//
// The first that knows the caller decides. One that refuses, or that a limit keeps from looking, is
// not the end: a later one may know the same kind of credentials. But a request that has shown
// credentials, and nobody who accepted them, is refused, and never served as that of an anonymous
// caller: `docker login` with a wrong password must fail.
//
// # Challenges
//
// A 401 has one challenge. Several in one header are within RFC 9110, but docker, containerd and
// others take all after the first for its parameters, or see none at all. The one that is sent is
// that of the scheme by which the caller has come, so that a token that is too narrow is answered
// with the scope that is needed; otherwise the first for Basic or Bearer; otherwise the first.
// Clients that could answer another have to do so unasked, as with certificates and API keys they
// do.
package chain

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
)

// Chain is several Authenticators in order. It is safe for concurrent use if these are.
type Chain struct {
	links []auth.Authenticator
}

var _ auth.Authenticator = (*Chain)(nil)

// New returns authenticators as one. Whoever is cheap to ask should come before who counts failures
// or takes time over a wrong password, such as [github.com/registrykit/registry/auth/htpasswd], for
// whom a password that a later one knows is wrong.
//
// It fails if there are none, or one of them is nil.
func New(authenticators ...auth.Authenticator) (*Chain, error) {
	if len(authenticators) == 0 || slices.Contains(authenticators, nil) {
		return nil, errors.New("chain: no Authenticator")
	}
	return &Chain{links: slices.Clone(authenticators)}, nil
}

// Authenticate implements [auth.Authenticator]. An identity that is anonymous and has claims
// decides as well: its bearer has shown credentials.
//
// Errors: auth.ErrCredentials if somebody refused, or there is an Authorization header that nobody
// has looked at; *auth.LimitError if the credentials may be right for somebody who did not look;
// any other error at once, since who has it might have known the caller.
func (c *Chain) Authenticate(r *http.Request) (auth.Identity, error) {
	var limited, refused error
	for _, a := range c.links {
		identity, err := a.Authenticate(r)
		switch {
		case err == nil && identity.Anonymous() && len(identity.Claims) == 0:
		case err == nil:
			return identity, nil
		case errors.Is(err, auth.ErrCredentials):
			if refused != nil { // the audit hears of all
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
		refused = fmt.Errorf("credentials of an unknown kind: %w", auth.ErrCredentials)
	}
	return auth.Identity{}, first(limited, refused)
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Challenge implements [auth.Authenticator]: one challenge, see the comment of the package.
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

// scheme is the name of the scheme of credentials or a challenge, in lower case.
func scheme(s string) string {
	s, _, _ = strings.Cut(s, " ")
	return strings.ToLower(s)
}
