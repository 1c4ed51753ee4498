// Package login authenticates a client to a registry: it answers challenges, fetches tokens and
// renews them.
//
// A registry that wants credentials responds with 401 and a challenge. For Basic, the credentials
// go into each request. For Bearer, they go to a token service, its realm, which returns a token for
// some scopes (distribution's token specification). A [Login] does both:
//
//	l, err := login.New("https://registry-1.docker.io", &login.Options{
//		Source: login.Static(login.Credentials{Username: "u", Password: "p"}),
//		Realms: []string{"auth.docker.io"},
//	})
//	c, err := client.New("https://registry-1.docker.io", &client.Options{
//		Authorize: l.Authorize, Challenge: l.Challenge,
//	})
//
// Credentials and tokens go to the host of the registry and to listed realms only, over https
// except on loopback.
package login

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Credentials are what a registry or its token service accepts. The zero value is anonymous. They
// print as "***".
type Credentials struct {
	// Username and Password are for Basic authentication and for the token service.
	Username string
	Password Secret
	// IdentityToken is a refresh token of the token service (OAuth2, grant_type=refresh_token). If it
	// is not "", it is used instead of the password.
	IdentityToken Secret
	// RegistryToken is a bearer token that is sent to the registry as it is. If it is not "", no
	// token service is asked.
	RegistryToken Secret
	// Expires is when the credentials end, or zero. A Login asks its Source again before that.
	Expires time.Time
}

// Secret is text that prints as "***".
type Secret string

// Source returns credentials for a host: the host and port of the registry. A Login calls it again
// when credentials were refused or end, so a corrected password works without a restart. It is
// called by one goroutine at a time for each Login.
type Source func(ctx context.Context, host string) (Credentials, error)

// Options are the options of [New].
type Options struct {
	// Source returns the credentials. Default: anonymous.
	Source Source
	// Realms are the hosts of token services that may receive the credentials, beside the host of
	// the registry itself: a host with an optional port, or "*.example.com" for all hosts below a
	// domain. A challenge with another realm is an error. Default: none but the registry's own host.
	Realms []string
	// Transport sends the requests to token services. Default: http.DefaultTransport.
	Transport http.RoundTripper
}

// Login authenticates requests to one registry. It is safe for concurrent use.
type Login struct{}

// ErrRealm is returned when a registry names a token service that is not among Options.Realms.
var ErrRealm = errors.New("login: the realm is not allowed")

// New returns a Login for the registry at baseURL, as client.New has it. It sends no request.
func New(baseURL string, opts *Options) (*Login, error) { return &Login{}, nil }

// Authorize adds credentials or a token to a request, as far as the Login knows what the registry
// wants. It is for client.Options.Authorize.
func (l *Login) Authorize(req *http.Request) error { return nil }

// Challenge reads the challenge of a response with the status 401 or 403. It reports whether the
// request should be sent again. It is for client.Options.Challenge.
func (l *Login) Challenge(res *http.Response) (retry bool, err error) { return false, nil }
