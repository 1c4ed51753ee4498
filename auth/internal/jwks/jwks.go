// Package jwks provides the keys that tokens of other services are signed with: from files, from a URL, or from
// the discovery document of an OpenID provider. It follows their rotation.
//
// # How keys change
//
// A [Set] with a URL reads its keys when the first token is verified. It reads them again when they are older than
// MaxAge, and in the background when they are older than three quarters of it. It also reads them when no key fits
// a token, because the issuer may have a new key. All callers wait for the same request, and there is at most one in
// MinInterval, even if many tokens name unknown keys. So if a token with an unknown key was sent, a token that is
// signed by a new key may be refused for up to MinInterval.
//
// While the keys cannot be read, the previous keys stay in use for MaxStale. A key that the issuer has removed is
// accepted until the keys are read again.
package jwks

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/hostname"
	"github.com/registrykit/registry/internal/options"
)

// Defaults of [Options].
const (
	DefaultMaxAge      = time.Hour
	DefaultMaxStale    = 24 * time.Hour
	DefaultMinInterval = 10 * time.Second
)

// Options are the options of [New] and [Discover]. nil means the zero Options.
type Options struct {
	// Client sends the requests. Redirects must pass its CheckRedirect and the rules of this package: at most
	// three redirects, and none from TLS to plain HTTP. With any client, reading the keys takes at most ten
	// seconds. Default: a client with http.DefaultTransport.
	Client *http.Client
	// MaxAge is the maximum age of keys before they are read again. A response may set a shorter time, but not
	// less than MinInterval. Default: an hour.
	MaxAge time.Duration
	// MaxStale is the maximum age of keys while they cannot be read again. Default: 24 hours.
	MaxStale time.Duration
	// MinInterval is the minimum time between two requests, so that tokens with invented kids cause no load at
	// the issuer. Default: 10 seconds.
	MinInterval time.Duration
	// Algorithms are the algorithms of signatures that are accepted: RS256, RS384, RS512, PS256, PS384, PS512,
	// ES256, ES384, ES512 and EdDSA (Ed25519), never "none" and none of the HMAC ones.
	// Default: RS256, ES256, EdDSA.
	Algorithms []string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// ErrSignature is returned, possibly wrapped, for a token that is malformed or not signed by one of the keys.
var ErrSignature = errors.New("jwks: invalid signature")

// Set is a set of keys. It is safe for concurrent use.
type Set struct {
	opts       Options
	algorithms map[string]algorithm
	// read reads the keys, and returns how long the source permits to use them. It is nil for keys that never
	// change.
	read func(ctx context.Context) (*keys, time.Duration, error)

	mu      sync.Mutex
	current *keys         // nil before the first success
	at      time.Time     // when current was read
	maxAge  time.Duration // of current
	tried   time.Time     // when the last attempt began
	failed  error         // of the last attempt, nil if it succeeded
	flight  *flight       // the attempt under way, or nil
}

// New returns the keys at a URL, which is read when the first token is verified. The URL must be https, or http on
// loopback.
//
// New returns an error for a URL that is not permitted, and for an unknown algorithm.
func New(keys string, opts *Options) (*Set, error) {
	s, err := newSet(opts)
	if err != nil {
		return nil, err
	}
	u, err := checkURL(keys)
	if err != nil {
		return nil, err
	}
	s.read = s.reader(func(context.Context, *http.Client) (*url.URL, error) { return u, nil })
	return s, nil
}

// Discover returns the keys of the OpenID provider with an issuer (OpenID Connect Discovery 1.0, section 4). The
// document is read when a key is needed first, and with the keys again: the issuer in it must be the same.
//
// Errors: as New.
func Discover(issuer string, opts *Options) (*Set, error) {
	s, err := newSet(opts)
	if err != nil {
		return nil, err
	}
	u, err := checkURL(strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(issuer, "?#") {
		return nil, fmt.Errorf("jwks: the issuer %q has a query or fragment", issuer)
	}
	s.read = s.reader(func(ctx context.Context, client *http.Client) (*url.URL, error) {
		return discover(ctx, client, u, issuer)
	})
	return s, nil
}

// Files returns the keys in files: PEM (public keys and certificates) or JWKS. They are read now. Of a
// certificate only the key counts: it is pinned, whether the certificate has expired or not.
//
// Files returns an error for a file that cannot be read or has a private key, a key that is too weak or no key
// at all, and for an unknown algorithm.
func Files(paths []string, opts *Options) (*Set, error) {
	s, err := newSet(opts)
	if err != nil {
		return nil, err
	}
	s.current, err = readFiles(paths)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// newSet returns a Set without keys.
func newSet(opts *Options) (*Set, error) {
	s := &Set{opts: options.Value(opts)}
	o := &s.opts
	options.Default(&o.MaxAge, DefaultMaxAge)
	options.Default(&o.MaxStale, DefaultMaxStale)
	options.Default(&o.MinInterval, DefaultMinInterval)
	o.MaxAge = max(o.MaxAge, o.MinInterval)
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"RS256", "ES256", "EdDSA"}
	}
	s.algorithms = make(map[string]algorithm)
	for _, name := range o.Algorithms {
		a, ok := algorithms[name]
		if !ok {
			return nil, fmt.Errorf("jwks: the algorithm %q is not supported", name)
		}
		s.algorithms[name] = a
	}
	return s, nil
}

// checkURL parses the URL of a source. It must be https, or http on loopback.
func checkURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("jwks: the URL of the keys is malformed") // err may have a password
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("jwks: %q is not the URL of keys", u.Redacted())
	case u.Scheme != "https" && !plainLoopback(u):
		return nil, fmt.Errorf("jwks: %q must be https; http is permitted to loopback only", s)
	}
	return u, nil
}

// plainLoopback reports whether a URL is plain HTTP to this machine.
func plainLoopback(u *url.URL) bool { return u.Scheme == "http" && hostname.Loopback(u.Host) }
