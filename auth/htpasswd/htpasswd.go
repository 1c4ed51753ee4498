package htpasswd

import (
	"context"
	"crypto/rand"
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
	"github.com/registrykit/registry/auth/internal/fingerprint"
	"github.com/registrykit/registry/auth/internal/guess"
	"github.com/registrykit/registry/auth/internal/reload"
	"github.com/registrykit/registry/auth/internal/secretvalue"
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
	dummyHash string                            // salt and hash of an unknown password
	guard     *guess.Guard
	compare   func(hash, password []byte) error
	now       func() time.Time
}

var (
	_ auth.Authenticator = (*File)(nil)
	_ auth.Renewer       = (*File)(nil)
)

// New reads the file at path and returns an Authenticator for its users. It starts no goroutine.
// opts may be nil.
//
// New returns an error if a file cannot be read, if a line is malformed, or if an option is
// invalid. The error contains the path and the number of the line, and nothing else of the line.
func New(path string, opts *Options) (*File, error) {
	f := &File{compare: bcrypt.CompareHashAndPassword, now: time.Now}
	if opts != nil {
		f.opts = *opts
	}
	o := &f.opts
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
	unknown, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), bcrypt.MinCost)
	if err != nil {
		return nil, fmt.Errorf("htpasswd: %w", err)
	}
	f.dummyHash = string(unknown[len("$2a$04$"):])
	clock := func() time.Time { return f.now() }
	f.guard = guess.New(guess.Options{Failures: o.Failures, AddressFailures: o.AddressFailures, Parallel: o.Parallel,
		TrustedProxies: o.TrustedProxies, Now: clock})

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
// user, and the claim "registrykit.io/password", by which Renew finds out whether the line has changed.
// A secret of package accounts is no password, and is not counted: in a chain with accounts, a program
// whose secret has expired would otherwise lock out others.
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
	if secretvalue.Is(login.Password) {
		return auth.Identity{}, fmt.Errorf("a secret of package accounts is no password: %w", auth.ErrCredentials)
	}
	ctx := r.Context()
	// valid compares with the present line, so that what was remembered ends when the line changes.
	valid := func(hash string) (bool, error) { return f.users.Get(ctx).hash[login.User] == hash, nil }
	check := func(context.Context) (string, error) { return f.checkPassword(f.users.Get(ctx), login) }
	attempt := guess.Login{User: login.User, Password: login.Password, Valid: valid, Check: check}
	if err := f.guard.Try(r, attempt); err != nil {
		return auth.Identity{}, err
	}
	return f.identity(ctx, login.User), nil
}

// identity returns a user as the files are now.
func (f *File) identity(ctx context.Context, user string) auth.Identity {
	identity := auth.Identity{Name: user, Claims: f.users.Get(ctx).claims[user]}
	if f.groups != nil {
		identity.Groups = slices.Clone(f.groups.Get(ctx)[user])
	}
	return identity
}

// Renew implements [auth.Renewer]: the line of the user is what it was at the login.
//
// Errors: auth.ErrCredentials.
func (f *File) Renew(ctx context.Context, identity auth.Identity) (auth.Identity, error) {
	present := f.identity(ctx, identity.Name)
	if now, _ := present.Claims[fingerprint.Claim].(string); !fingerprint.Same(identity, now) {
		return auth.Identity{}, fmt.Errorf("the line of the user was changed or removed: %w", auth.ErrCredentials)
	}
	return present, nil
}

// checkPassword compares the password with the hash of the user, and returns that hash if they match. After a wrong
// password, it spends the difference to the highest cost n in the file, so that the time does not reveal the cost
// c of the line: bcrypts of the costs c, c, c+1, … n-1 together take as long as one of cost n. For an unknown user,
// it spends one of cost n.
func (f *File) checkPassword(u *users, login *basic.Login) (string, error) {
	password := []byte(login.Password)
	hash, known := u.hash[login.User]
	if !known {
		hash = f.dummyOfCost(u.cost)
	}
	if err := f.compare([]byte(hash), password); err == nil && known {
		return hash, nil
	}
	cost, _ := bcrypt.Cost([]byte(hash)) // it has been parsed
	for ; cost < u.cost; cost++ {
		_ = f.compare([]byte(f.dummyOfCost(cost)), password)
	}
	return "", auth.ErrCredentials
}

// dummyOfCost returns a hash with the given cost that no known password matches.
func (f *File) dummyOfCost(cost int) string { return fmt.Sprintf("$2a$%02d$%s", cost, f.dummyHash) }
