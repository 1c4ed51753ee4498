package auth

import (
	"fmt"
	"net/http"
	"time"
)

// AuthenticatorFunc makes a function an [Authenticator], for the sessions or API keys of a host, or
// for a header that its proxy sets. It has no challenge, so clients such as docker, which log in
// only when they are asked to, never log in; see [AuthenticatorFunc.WithChallenge].
//
// The function must accept a header of a proxy only on requests that come from that proxy, because
// anybody can send the header. It should not accept cookies, because a page of another site could
// make a browser push.
type AuthenticatorFunc func(r *http.Request) (Identity, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(r *http.Request) (Identity, error) { return f(r) }

// Challenge returns "".
func (AuthenticatorFunc) Challenge(*http.Request, []Access) string { return "" }

// WithChallenge returns an [Authenticator] that calls f and asks for credentials by challenge, such
// as `Basic realm="registry"`. With Basic, clients send an API key as the password.
func (f AuthenticatorFunc) WithChallenge(challenge string) Authenticator {
	return challenger{f, challenge}
}

type challenger struct {
	AuthenticatorFunc
	challenge string
}

// Challenge returns the same challenge for every access.
func (c challenger) Challenge(*http.Request, []Access) string { return c.challenge }

// LimitError is returned by Authenticate, possibly wrapped, for credentials that it has not checked
// because too many were wrong before. The response is 429 with a Retry-After header.
type LimitError struct {
	// RetryAfter is how long the caller has to wait before the next attempt.
	RetryAfter time.Duration
}

// Error implements error. The text says how long to wait.
func (e *LimitError) Error() string {
	return fmt.Sprintf("auth: too many failed logins, wait %s", e.RetryAfter)
}
