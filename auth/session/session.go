package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// Cookie is the name of the cookie of browsers.
	Cookie = "__Host-registry-session"
	// Claim is the claim of an identity that has the ID of its session, a string.
	Claim = "registrykit.io/session"
)

// Defaults and limits of [Options].
const (
	DefaultIdle     = 12 * time.Hour
	DefaultAbsolute = 7 * 24 * time.Hour
	DefaultRefresh  = 10 * time.Second
	// MaxSessions is the maximum number of sessions of one user. A further login ends the session that
	// has not been used for the longest time.
	MaxSessions = 100
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Idle is the time without a request after which a session ends. The time of the last request is
	// stored at most once in five minutes, so a session may live up to five minutes longer. Default:
	// DefaultIdle, 12 hours.
	Idle time.Duration
	// Absolute is the time after the login at which a session ends. Default: DefaultAbsolute, 7 days.
	Absolute time.Duration
	// Refresh is the maximum age of a session in memory. A session that another process has ended is
	// refused within this time. Default: DefaultRefresh, 10 seconds.
	Refresh time.Duration
	// TrustedOrigins are further origins, such as "https://pages.example", whose pages may send
	// changes with the cookie. The cookie is SameSite=Lax, so they must be on the same site. Default:
	// none.
	TrustedOrigins []string
	// Error receives errors of Run, which tries again later. Default: none.
	Error func(ctx context.Context, err error)
}

var (
	// ErrUnknown is returned for a session that does not exist or has ended.
	ErrUnknown = errors.New("session: unknown")
	// ErrCrossOrigin is returned for a change that a page of another origin sends with the cookie.
	// Handlers respond with 403.
	ErrCrossOrigin = errors.New("session: the request comes from a page of another origin")
)

// Sessions are the sessions of the users of a registry. It is safe for concurrent use, and any
// number of processes may use the same storage.
type Sessions struct {
	driver driver.Driver
	people accounts.Directory
	opts   Options
	cross  *http.CrossOriginProtection
	now    func() time.Time

	mu    sync.Mutex // held to change cache and ended together
	cache *lru.Cache[string, cached]
	ended *lru.Cache[string, time.Time] // when this process has ended a session
}

// Session describes a session. It does not contain its value.
type Session struct {
	// ID identifies the session among those of its owner. It is a part of the hash of the value.
	ID    string      `json:"id"`
	Owner accounts.ID `json:"owner"`
	// Hash is the SHA-256 of the value, in hexadecimal digits.
	Hash string `json:"hash"`
	// Browser reports whether the value is in a cookie.
	Browser bool      `json:"browser,omitempty"`
	Created time.Time `json:"created"`
	// Expires is the absolute end.
	Expires time.Time `json:"expires"`
	// LastUsed may be five minutes out of date.
	LastUsed time.Time `json:"lastUsed"`
	// Address and UserAgent are those of the request that began the session, cut off after 256 bytes.
	Address   string `json:"address,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	// Password is the version of the password of the owner when the session began; see
	// accounts.Directory. It is "" if the owner had none.
	Password string `json:"password,omitempty"`
	// Provider is set after a login by an OpenID provider.
	Provider *Provider `json:"provider,omitempty"`
}

// Provider describes the login by an OpenID provider that began a session.
type Provider struct {
	// Name is the name of the provider in the configuration.
	Name string `json:"name"`
	// Issuer and Subject are the claims iss and sub of the ID token. SID is the claim sid, or "".
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
	SID     string `json:"sid,omitempty"`
	// Hint is what package signin needs for the logout at the provider. It has at most 16 KiB.
	Hint []byte `json:"hint,omitempty"`
}

// Login is a login that begins a session.
type Login struct {
	// Account is the user who has logged in.
	Account accounts.ID
	// Password is the version of the password that was checked: the claim accounts.PasswordClaim. The
	// session does not begin if the password was changed meanwhile. It is "" after a login without a
	// password.
	Password string
	// Provider is nil unless the user has logged in by an OpenID provider.
	Provider *Provider
}

// New returns the sessions in the storage of d, which is usually the Driver of the registry. It
// makes no request and starts no goroutine. opts may be nil.
//
// New returns an error if d or people is nil or an option is invalid.
func New(d driver.Driver, people accounts.Directory, opts *Options) (*Sessions, error) {
	if d == nil || people == nil {
		return nil, errors.New("session: the driver and the accounts must not be nil")
	}
	s := &Sessions{driver: d, people: people, opts: options.Value(opts), cross: http.NewCrossOriginProtection(),
		now:   time.Now,
		cache: lru.New[string, cached](maxCached), ended: lru.New[string, time.Time](maxCached)}
	o := &s.opts
	options.Default(&o.Idle, DefaultIdle)
	options.Default(&o.Absolute, DefaultAbsolute)
	options.Default(&o.Refresh, DefaultRefresh)
	if o.Idle < time.Minute || o.Absolute < time.Minute || o.Refresh < 0 || o.Refresh > time.Minute {
		return nil, errors.New("session: Idle and Absolute must be at least a minute, Refresh at most one")
	}
	for _, origin := range o.TrustedOrigins {
		if err := s.cross.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("session: TrustedOrigins: %w", err)
		}
	}
	if o.Error == nil {
		o.Error = func(context.Context, error) {}
	}
	return s, nil
}

// CheckOrigin returns ErrCrossOrigin if a browser sends a change from a page of another origin.
// Requests that only read, and requests of programs other than browsers, pass.
func (s *Sessions) CheckOrigin(r *http.Request) error {
	if err := s.cross.Check(r); err != nil {
		return fmt.Errorf("%w: %w", ErrCrossOrigin, err)
	}
	return nil
}

// refused returns auth.ErrCredentials with a reason for the audit. No response contains the reason.
func refused(reason string) error { return fmt.Errorf("session: %s: %w", reason, auth.ErrCredentials) }
