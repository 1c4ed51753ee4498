package auth

import (
	"fmt"
	"net/http"
	"time"
)

// AuthenticatorFunc is a function as an [Authenticator]: a host's sessions, API keys, or a header
// that its own proxy sets. It gives no challenge, and clients such as docker, which log in only
// when they are asked to, then never do; see [AuthenticatorFunc.WithChallenge].
//
// A header that a proxy sets counts only if the request has come from that proxy; else anybody can
// send it. Cookies should not count: a page of another site could have a browser push.
type AuthenticatorFunc func(r *http.Request) (Identity, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(r *http.Request) (Identity, error) { return f(r) }

// Challenge returns "".
func (AuthenticatorFunc) Challenge(*http.Request, []Access) string { return "" }

// WithChallenge returns an [Authenticator] that calls f, and asks for credentials by challenge:
// `Basic realm="registry"` for whatever a client is to send as the password of Basic.
func (f AuthenticatorFunc) WithChallenge(challenge string) Authenticator {
	return challenger{f, challenge}
}

type challenger struct {
	AuthenticatorFunc
	challenge string
}

// Challenge returns the challenge, for whatever access.
func (c challenger) Challenge(*http.Request, []Access) string { return c.challenge }

// LimitError is what Authenticate returns, or wraps, for credentials that it has not looked at,
// because too many were wrong before. The answer is 429 with a Retry-After header.
type LimitError struct {
	// RetryAfter is when the caller may try again.
	RetryAfter time.Duration
}

// Error says how long to wait.
func (e *LimitError) Error() string {
	return fmt.Sprintf("auth: too many failed logins, wait %s", e.RetryAfter)
}
