package accounts

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// Defaults of [Options].
const (
	DefaultRefresh     = 10 * time.Second
	DefaultQuarantine  = 90 * 24 * time.Hour
	DefaultMinPassword = 15
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Refresh is the maximum age of a cached fact. A change by another process takes effect within
	// this time. Default: DefaultRefresh, 10 seconds.
	Refresh time.Duration
	// Quarantine is the time during which nobody can take the name of a removed account, or a
	// released former name. Without it, a new owner of the name would receive pushes and pulls meant
	// for the old one. It should be longer than storage.Options.History, because a later account of the
	// name can restore what is in the history of its repositories. Default: DefaultQuarantine, 90 days.
	Quarantine time.Duration
	// Reserved are further names that only an actor with Actor.Force can take, besides the built-in
	// ones such as "library" and "admin": for example the users and groups of another Authenticator that
	// rules name, see Authorizer.Refine. Default: none.
	Reserved []string
	// InUse reports whether there are repositories below a name. Such a name cannot be taken, because
	// its new owner would own these repositories. [RepositoriesOf] returns a function for a Backend.
	// Default: nil, repositories are not checked.
	InUse func(ctx context.Context, name string) (bool, error)
	// MinPassword is the minimum length of a password, in characters. It must be at least 8. Default:
	// DefaultMinPassword, 15, which NIST SP 800-63B-4 (section 3.1.1.2) requires of passwords that are
	// the only factor.
	MinPassword int
	// Blocked reports whether a password must not be used, for example because it is in a list of
	// leaked passwords. It is called after the built-in rules have passed. Default: none.
	Blocked func(password string) bool
	// Sink receives an event for each change. Default: none.
	Sink notification.Sink
	// Instance is the name of this process in events. Default: "".
	Instance string
	// Audit receives each change, and each attempt that a rule of this package rejected, before the
	// method returns. Default: none.
	Audit func(ctx context.Context, c Change)
}

// Accounts stores accounts in a Driver. It is safe for concurrent use, and any number of processes may
// use the same storage.
type Accounts struct {
	driver driver.Driver
	opts   Options
	facts  *cache
	now    func() time.Time

	reserved map[string]struct{} // skeletons of reserved names
	slots    chan struct{}       // its capacity is the maximum number of concurrent argon2id hashes
	derive   func(p *argonParams, password string, size int) []byte
	uses     uses // of secrets, not stored yet
}

var (
	_ Directory = (*Accounts)(nil)
	_ Manager   = (*Accounts)(nil)
)

// New returns the accounts in the storage of d, which is usually the Driver of the registry. It starts
// no goroutine and makes no request. opts may be nil.
//
// New returns an error if d is nil or an option is invalid.
func New(d driver.Driver, opts *Options) (*Accounts, error) {
	if d == nil {
		return nil, errors.New("accounts: the driver must not be nil")
	}
	a := &Accounts{
		driver: d, opts: options.Value(opts), now: time.Now,
		slots: make(chan struct{}, runtime.GOMAXPROCS(0)), derive: derive,
	}
	o := &a.opts
	options.Default(&o.Refresh, DefaultRefresh)
	options.Default(&o.Quarantine, DefaultQuarantine)
	options.Default(&o.MinPassword, DefaultMinPassword)
	if o.Refresh < 0 || o.Quarantine < 0 || o.MinPassword < 8 {
		return nil, errors.New("accounts: Refresh and Quarantine must not be negative, MinPassword must be at least 8")
	}
	var err error
	if a.reserved, err = reservedNames(o.Reserved); err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	a.facts = newCache(o.Refresh, func() time.Time { return a.now() })
	return a, nil
}
