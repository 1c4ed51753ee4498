package accounts

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/limit"
	"github.com/registrykit/registry/internal/options"
)

// DefaultSignUps is the default of SignUpOptions.Attempts.
const DefaultSignUps = 10

// SignUpOptions are the options of [NewSignUps]. nil means the zero SignUpOptions.
type SignUpOptions struct {
	// Attempts is the maximum number of calls of SignUp from one network in ten minutes, including calls that fail.
	// Each call costs memory and time for the hash of the password, and reveals whether a name is taken. Default:
	// DefaultSignUps, 10.
	Attempts int
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For header is used. Default: none.
	TrustedProxies []netip.Prefix
}

// SignUps lets people create their own accounts, at a limited rate. It is safe for concurrent use.
type SignUps struct {
	accounts *Accounts
	proxies  []netip.Prefix
	attempts *limit.Limiter
}

// NewSignUps returns SignUps that create users in a. It starts nothing. opts may be nil.
//
// It returns an error if a is nil or an option is invalid.
func NewSignUps(a *Accounts, opts *SignUpOptions) (*SignUps, error) {
	o := options.Value(opts)
	options.Default(&o.Attempts, DefaultSignUps)
	switch {
	case a == nil:
		return nil, errors.New("accounts: the Accounts must not be nil")
	case o.Attempts < 0:
		return nil, errors.New("accounts: Attempts must not be negative")
	}
	now := func() time.Time { return a.now() }
	return &SignUps{accounts: a, proxies: o.TrustedProxies, attempts: limit.New(o.Attempts, now)}, nil
}

// SignUp creates the account of the person who has sent a request. See [Accounts.SignUp].
//
// Errors: *auth.LimitError after too many calls from the network of the request; those of Accounts.SignUp.
func (s *SignUps) SignUp(r *http.Request, name, password string, opts *UserOptions) (*Account, error) {
	key := limit.Key(sha256.Sum256([]byte(limit.Address(r, s.proxies).String())))
	if wait := s.attempts.Begin(key); wait > 0 {
		return nil, fmt.Errorf("accounts: too many accounts from one network: %w", &auth.LimitError{RetryAfter: wait})
	}
	return s.accounts.SignUp(r.Context(), name, password, opts)
}
