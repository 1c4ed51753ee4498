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
	// MaxPassword is how many bytes a password has at most: bcrypt does not look at more.
	MaxPassword = 72

	// maxFile is how many bytes a file has at most.
	maxFile = 16 << 20
	// slotTimeout is how long a request waits for its turn.
	slotTimeout = 10 * time.Second
	// busy is when to come again if it does not come.
	busyRetry = 5 * time.Second
)

// Options are the options of [New]. nil is the zero Options.
type Options struct {
	// Groups is the path of a file that says who is in which group, in the form of Apache's
	// AuthGroupFile: lines "GROUP: USER USER". It is looked at as the password file is. Default:
	// there are no groups.
	Groups string
	// Realm is what clients are told that they log in to: printable ASCII. Default: "registry".
	Realm string
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For is believed. Default: none.
	TrustedProxies []netip.Prefix
	// Failures is how many logins to one name from one address may fail within ten minutes; after
	// that, one in each such share of ten minutes. Default: DefaultFailures.
	Failures int
	// AddressFailures is the same for all names together. An address of IPv6 is counted with the
	// other 2⁶⁴ of its network. Default: DefaultAddressFailures.
	AddressFailures int
	// Parallel is how many passwords are checked at a time. Default: runtime.GOMAXPROCS.
	Parallel int
	// Error is told why a file that has changed was not taken; ctx is that of the request that
	// noticed. nil: nobody is.
	Error func(ctx context.Context, err error)
}

// File is the users of a password file. It is safe for concurrent use.
type File struct {
	opts      Options
	challenge string
	users     reload.File[*users]
	groups    *reload.File[map[string][]string] // nil: there are none
	key       []byte                            // of the MACs, random
	dummyHash string                            // salt and hash of a password that nobody knows
	verified  *lru.Cache[mac, struct{}]
	flights   flights
	slots     chan struct{} // as many as passwords are checked at a time
	addresses *limit.Limiter
	logins    *limit.Limiter // by name and address
	compare   func(hash, password []byte) error
	now       func() time.Time
}

var _ auth.Authenticator = (*File)(nil)

// New returns an Authenticator for the users of the file at path. It starts nothing. opts may be
// nil.
//
// It fails if a file cannot be read or is broken, with the number of the line, or an option makes
// no sense.
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
		return nil, errors.New("htpasswd: a number in Options is negative")
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

// withPath has errors of parse name the file.
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

// Challenge implements [auth.Authenticator]: it asks for Basic.
func (f *File) Challenge(*http.Request, []auth.Access) string { return f.challenge }

// Authenticate implements [auth.Authenticator]. The identity has the name of the user, and its
// groups.
//
// Errors: auth.ErrCredentials; *auth.LimitError after too many failures, or if too many passwords
// wait to be checked; that of the context.
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
			return auth.Identity{}, fmt.Errorf("the user has changed meanwhile: %w", auth.ErrCredentials)
		}
	}
	identity := auth.Identity{Name: login.User}
	if f.groups != nil {
		identity.Groups = slices.Clone(f.groups.Get(ctx)[login.User])
	}
	return identity, nil
}

// check is what is looked at for one login.
type check struct {
	login   *basic.Login
	users   *users
	hash    string // of the user, or of nobody
	known   bool
	address string
	mac     mac
}

// verify checks a password that is not remembered: once for all who bring it from an address at the
// moment, and not if too many before were wrong.
func (f *File) verify(ctx context.Context, c *check) error {
	byAddress, byLogin := limit.Key(f.mac("address", c.address)), limit.Key(f.mac("login", c.address, c.login.User))
	return f.flights.do(ctx, c.mac, func(ctx context.Context) error {
		if c.known && f.isVerified(c.mac) {
			return nil
		}
		// first, so that names that are made up do not fill the other table
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

// withSlot calls work when it is its turn.
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

// checkPassword compares, and makes up for what a wrong password has cost less than the highest
// cost of all: costs of c, c, c+1, … n-1 are one of n.
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

// dummyOfCost is a hash of a cost, which no password has.
func (f *File) dummyOfCost(cost int) string { return fmt.Sprintf("$2a$%02d$%s", cost, f.dummyHash) }

// mac is an HMAC of parts, which have no NUL in them, but for the last.
func (f *File) mac(parts ...string) (m mac) {
	h := hmac.New(sha256.New, f.key)
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Sum(m[:0])
	return m
}
