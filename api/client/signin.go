package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/registrykit/registry/api/types"
)

// SignIn begins sessions of a command line at the sign-in of a registry; see package auth/signin. The value of a
// session becomes Options.Session. It is safe for concurrent use.
type SignIn struct {
	c *Client
}

// NewSignIn returns a SignIn at a URL, such as "https://hub.example.com/signin". It makes no request. opts may be nil.
// Its credentials are not used.
//
// Errors: those of [New]; an error for a URL without TLS, see Options.PlainHTTP.
func NewSignIn(baseURL string, opts *Options) (*SignIn, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Name, o.Secret = "", ""
	o.Session = "none" // New checks that a session may be sent to the URL
	c, err := New(baseURL, &o)
	if err != nil {
		return nil, err
	}
	c.opts.Session = ""
	return &SignIn{c}, nil
}

// Methods returns the ways to sign in.
func (s *SignIn) Methods(ctx context.Context) (types.SignInMethods, error) {
	v, _, err := get[types.SignInMethods](ctx, s.c, "/", nil)
	return v, err
}

// Password signs in with a password.
//
// Errors: ErrDenied for a wrong name or password.
func (s *SignIn) Password(ctx context.Context, name, password string) (types.SignedIn, error) {
	v, _, err := change[types.SignedIn](ctx, s.c, call{method: http.MethodPost, path: "/password",
		in: types.PasswordSignIn{Name: name, Password: password, CommandLine: true}})
	return v, err
}

// Device begins a sign-in by a provider. The user opens the URL in the result on any machine, and types the code.
// Then call [SignIn.Wait].
func (s *SignIn) Device(ctx context.Context, provider string) (types.DeviceStart, error) {
	v, _, err := change[types.DeviceStart](ctx, s.c, call{method: http.MethodPost, path: devicePath(provider)})
	return v, err
}

// slower is the time by which the interval between two polls grows if the server says SLOW_DOWN (RFC 8628,
// section 3.5).
const slower = 5 * time.Second

// Wait polls until the user has confirmed a sign-in that Device has begun.
//
// Errors: *Error with the code EXPIRED or ACCESS_DENIED; the error of ctx.
func (s *SignIn) Wait(ctx context.Context, provider string, begun types.DeviceStart) (types.SignedIn, error) {
	interval := time.Duration(max(begun.Interval, 1)) * time.Second
	for {
		timer := time.NewTimer(interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return types.SignedIn{}, ctx.Err()
		case <-timer.C:
		}
		v, _, err := change[types.SignedIn](ctx, s.c, call{method: http.MethodPost, path: devicePath(provider) + "/poll",
			in: types.DevicePoll{Handle: begun.Handle}})
		var e *Error
		switch {
		case errors.As(err, &e) && e.Code == "SLOW_DOWN":
			interval += slower
		case errors.As(err, &e) && (e.Code == "AUTHORIZATION_PENDING" || e.Status >= 500):
		default:
			return v, err
		}
		if !begun.Expires.IsZero() && time.Now().After(begun.Expires) {
			return types.SignedIn{}, err
		}
	}
}

// devicePath returns the path of the device flow of a provider.
func devicePath(provider string) string { return "/device/" + url.PathEscape(provider) }
