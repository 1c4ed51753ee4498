package htpasswd

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
	"github.com/registrykit/registry/auth/internal/limit"
	"github.com/registrykit/registry/auth/internal/reload"
	"github.com/registrykit/registry/internal/lru"
)

const (
	// DefaultFailures is the default of Options.Failures.
	DefaultFailures = 10
	// DefaultAddressFailures is the default of Options.AddressFailures.
	DefaultAddressFailures = 100
	// MaxPassword is the maximum length of a password, in bytes. bcrypt ignores what follows.
	MaxPassword = 72

	// maxFile is the maximum size of a file, in bytes.
	maxFile = 16 << 20
	// slotTimeout is the maximum time that a request waits for a bcrypt slot.
	slotTimeout = 10 * time.Second
	// busyRetry is the Retry-After of a request that has waited in vain.
	busyRetry = 5 * time.Second
)

// Options are the options of [New]. A nil *Options means the zero Options: all defaults.
type Options struct {
	// Groups is the path of a file with the members of groups, in the format of Apache's
	// AuthGroupFile: lines "GROUP: USER USER". Its changes take effect as those of the password
	// file. Default: no groups.
	Groups string
	// Realm is the realm of the challenge, which clients may show to users. It must be printable
	// ASCII. Default: "registry".
	Realm string
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For header is used. Default:
	// none.
	TrustedProxies []netip.Prefix
	// Failures is the number of logins with one name from one address that may fail at once. After
	// that, one more may fail every ten minutes divided by Failures: every minute by default.
	// Default: DefaultFailures.
	Failures int
	// AddressFailures is the same number for all names from one address together. All IPv6
	// addresses of one /64 network count as one address. Default: DefaultAddressFailures.
	AddressFailures int
	// Parallel is the maximum number of passwords that are checked at a time. Default:
	// runtime.GOMAXPROCS.
	Parallel int
	// Error receives the reason why a changed file is not used. The previous content stays valid.
	// ctx is that of the request that noticed the change. Default: none.
	Error func(ctx context.Context, err error)
}

// File authenticates the users of a password file. It is safe for concurrent use.
type File struct {
	opts      Options
	challenge string
	users     reload.File[*users]
	groups    *reload.File[map[string][]string] // nil without Options.Groups
	key       []byte                            // random, for the MACs
	dummyHash string                            // salt and hash of an unknown password
	verified  *lru.Cache[mac, struct{}]
	flights   flights
	slots     chan struct{} // its capacity is Options.Parallel
	addresses *limit.Limiter
	logins    *limit.Limiter // by name and address
	compare   func(hash, password []byte) error
	now       func() time.Time
}

var _ auth.Authenticator = (*File)(nil)

// New reads the file at path and returns an Authenticator for its users. It starts no goroutine.
// opts may be nil.
//
// New returns an error if a file cannot be read, if a line is malformed, or if an option is
// invalid. The error contains the path and the number of the line, and nothing else of the line.
func New(path string, opts *Options) (*File, error) {
	f := &File{
		key: make([]byte, sha256.Size), verified: lru.New[mac, struct{}](maxVerified),
		compare: bcrypt.CompareHashAndPassword, now: time.Now,
	}
	if opts != nil {
		f.opts = *opts
	}
	o := &f.opts
	o.TrustedProxies = slices.Clone(o.TrustedProxies)
	if o.Failures < 0 || o.AddressFailures < 0 || o.Parallel < 0 {
		return nil, errors.New("htpasswd: Failures, AddressFailures and Parallel must not be negative")
	}
	if o.Failures == 0 {
		o.Failures = DefaultFailures
	}
	if o.AddressFailures == 0 {
		o.AddressFailures = DefaultAddressFailures
	}
	if o.Parallel == 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	var err error
	if f.challenge, err = basic.Challenge(o.Realm); err != nil {
		return nil, fmt.Errorf("htpasswd: %w", err)
	}
	rand.Read(f.key)
	unknown, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), bcrypt.MinCost)
	if err != nil {
		return nil, fmt.Errorf("htpasswd: %w", err)
	}
	f.dummyHash = string(unknown[len("$2a$04$"):])
	f.slots = make(chan struct{}, o.Parallel)
	clock := func() time.Time { return f.now() }
	f.addresses, f.logins = limit.New(o.AddressFailures, clock), limit.New(o.Failures, clock)

	f.users = reload.File[*users]{Path: path, Max: maxFile, Parse: withPath(path, parseUsers), Fail: f.fail, Now: clock}
	if err := f.users.Read(); err != nil {
		return nil, fmt.Errorf("htpasswd: %w", err)
	}
	if o.Groups != "" {
		f.groups = &reload.File[map[string][]string]{Path: o.Groups, Max: maxFile, Parse: withPath(o.Groups, parseGroups),
			Fail: f.fail, Now: clock}
		if err := f.groups.Read(); err != nil {
			return nil, fmt.Errorf("htpasswd: %w", err)
		}
	}
	return f, nil
}

// withPath returns parse with the path of the file in its errors.
func withPath[T any](path string, parse func([]byte) (T, error)) func([]byte) (T, error) {
	return func(content []byte) (T, error) {
		v, err := parse(content)
		if err != nil {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return v, err
	}
}

func (f *File) fail(ctx context.Context, err error) {
	if f.opts.Error != nil {
		f.opts.Error(ctx, fmt.Errorf("htpasswd: %w", err))
	}
}

// Challenge implements [auth.Authenticator]. It asks for Basic.
func (f *File) Challenge(*http.Request, []auth.Access) string { return f.challenge }

// Authenticate implements [auth.Authenticator]. The identity has the name and the groups of the
// user.
//
// Errors: auth.ErrCredentials; *auth.LimitError after too many failures, or if the password could
// not be checked within ten seconds because of too many others; the error of the context.
func (f *File) Authenticate(r *http.Request) (auth.Identity, error) {
	login, err := basic.Parse(r)
	if err != nil || login == nil {
		return auth.Identity{}, err
	}
	if len(login.Password) > MaxPassword || login.Password == "" {
		return auth.Identity{}, fmt.Errorf("the password must have 1 to %d bytes: %w", MaxPassword, auth.ErrCredentials)
	}
	ctx := r.Context()
	c := check{login: login, users: f.users.Get(ctx), address: limit.Address(r, f.opts.TrustedProxies).String()}
	c.hash, c.known = c.users.hash[login.User]
	if !c.known {
		c.hash = f.dummyOfCost(c.users.cost)
	}
	c.mac = f.mac("credentials", c.address, login.User, login.Password, c.hash)
	if !c.known || !f.isVerified(c.mac) {
		if err := f.verify(ctx, &c); err != nil {
			return auth.Identity{}, err
		}
		if f.users.Get(ctx).hash[login.User] != c.hash {
			return auth.Identity{}, fmt.Errorf("the user has changed during the login: %w", auth.ErrCredentials)
		}
	}
	identity := auth.Identity{Name: login.User}
	if f.groups != nil {
		identity.Groups = slices.Clone(f.groups.Get(ctx)[login.User])
	}
	return identity, nil
}

// check is one login and what is known about it.
type check struct {
	login   *basic.Login
	users   *users
	hash    string // of the user, or a dummy if the user is unknown
	known   bool
	address string
	mac     mac
}

// verify checks a password that is not in the cache. Concurrent logins with the same credentials
// from the same address share one check. After too many failures it does not check the password.
func (f *File) verify(ctx context.Context, c *check) error {
	byAddress, byLogin := limit.Key(f.mac("address", c.address)), limit.Key(f.mac("login", c.address, c.login.User))
	return f.flights.do(ctx, c.mac, func(ctx context.Context) error {
		if c.known && f.isVerified(c.mac) {
			return nil
		}
		// The address comes first, so that invented names do not fill the other limiter.
		if wait := f.addresses.Begin(byAddress); wait > 0 {
			return &auth.LimitError{RetryAfter: wait}
		}
		if wait := f.logins.Begin(byLogin); wait > 0 {
			f.addresses.Undo(byAddress)
			return &auth.LimitError{RetryAfter: wait}
		}
		err := f.withSlot(ctx, func() error { return f.checkPassword(c) })
		if !errors.Is(err, auth.ErrCredentials) {
			f.logins.Undo(byLogin)
			f.addresses.Undo(byAddress)
		}
		if err == nil {
			f.verified.Add(c.mac, struct{}{}, 1)
		}
		return err
	})
}

// withSlot calls work when one of the Options.Parallel slots is free.
func (f *File) withSlot(ctx context.Context, work func() error) error {
	timer := time.NewTimer(slotTimeout)
	defer timer.Stop()
	select {
	case f.slots <- struct{}{}:
	case <-timer.C:
		return &auth.LimitError{RetryAfter: busyRetry}
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.slots }()
	if err := ctx.Err(); err != nil {
		return err
	}
	return work()
}

// checkPassword compares the password with the hash. After a wrong password, it spends the
// difference to the highest cost n in the file, so that the time does not reveal the cost c of the
// line: bcrypts of the costs c, c, c+1, … n-1 together take as long as one of cost n.
func (f *File) checkPassword(c *check) error {
	password := []byte(c.login.Password)
	if err := f.compare([]byte(c.hash), password); err == nil && c.known {
		return nil
	}
	cost, _ := bcrypt.Cost([]byte(c.hash)) // it has been parsed
	for ; cost < c.users.cost; cost++ {
		_ = f.compare([]byte(f.dummyOfCost(cost)), password)
	}
	return auth.ErrCredentials
}

// dummyOfCost returns a hash with the given cost that no known password matches.
func (f *File) dummyOfCost(cost int) string { return fmt.Sprintf("$2a$%02d$%s", cost, f.dummyHash) }

// mac returns an HMAC of parts. Only the last part may contain NUL.
func (f *File) mac(parts ...string) (m mac) {
	h := hmac.New(sha256.New, f.key)
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Sum(m[:0])
	return m
}
