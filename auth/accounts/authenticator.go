package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
	"github.com/registrykit/registry/auth/internal/fingerprint"
	"github.com/registrykit/registry/auth/internal/guess"
	"github.com/registrykit/registry/auth/internal/object"
	"github.com/registrykit/registry/internal/options"
)

// The claims of the identities of this package. No other source of identities may set claims whose names begin
// with "registrykit.io/".
const (
	// AccountClaim is the ID of the account, a string. The [Authorizer] treats an identity with this claim as the
	// account.
	AccountClaim = "registrykit.io/account"
	// SecretClaim is the ID of the secret of the login. It is missing after a login by password.
	SecretClaim = "registrykit.io/secret"
	// PasswordClaim is the version of the password of the login, see [Directory]. It is missing after a login by
	// secret.
	PasswordClaim = fingerprint.Claim
)

// Defaults of [AuthenticatorOptions].
const (
	DefaultFailures        = 10
	DefaultAddressFailures = 100
)

// AuthenticatorOptions are the options of [NewAuthenticator]. nil means the zero AuthenticatorOptions.
type AuthenticatorOptions struct {
	// Realm is the realm of the challenge. It must be printable ASCII. Default: "registry".
	Realm string
	// Failures and AddressFailures are the maximum numbers of wrong passwords in ten minutes: for one name from
	// one network, and for all names from one network. The limits do not apply to logins from other networks,
	// nor to a password that was right from the same network before, so nobody can lock a user out. Default:
	// DefaultFailures, 10, and DefaultAddressFailures, 100.
	Failures, AddressFailures int
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For header is used. Default: none.
	TrustedProxies []netip.Prefix
	// NoPasswords rejects all passwords, so that only secrets can log in. Default: false.
	NoPasswords bool
}

// Authenticator checks passwords and secrets. It implements [auth.Authenticator] and [auth.Renewer], and is safe
// for concurrent use.
type Authenticator struct {
	directory   Directory
	access      *Authorizer // knows which accounts are active
	noPasswords bool
	challenge   string
	guard       *guess.Guard
	lookup      func(ctx context.Context, name string) (*Account, error)
	used        func(owner ID, id string)
	now         func() time.Time
}

var (
	_ auth.Authenticator = (*Authenticator)(nil)
	_ auth.Renewer       = (*Authenticator)(nil)
)

// NewAuthenticator returns an Authenticator for the accounts of a directory. It starts no goroutine. opts may be nil.
//
// If the directory has a method Used(owner ID, id string), as [Accounts] has, each login by secret calls it.
//
// NewAuthenticator returns an error if the directory is nil or an option is invalid.
func NewAuthenticator(d Directory, opts *AuthenticatorOptions) (*Authenticator, error) {
	o := options.Value(opts)
	options.Default(&o.Failures, DefaultFailures)
	options.Default(&o.AddressFailures, DefaultAddressFailures)
	switch {
	case d == nil:
		return nil, errors.New("accounts: the Directory must not be nil")
	case o.Failures < 0 || o.AddressFailures < 0:
		return nil, errors.New("accounts: Failures and AddressFailures must not be negative")
	}
	challenge, err := basic.Challenge(o.Realm)
	if err != nil {
		return nil, fmt.Errorf("accounts: %w", err)
	}
	a := &Authenticator{
		directory: d, access: NewAuthorizer(d), noPasswords: o.NoPasswords, challenge: challenge,
		lookup: evenLookup(d), used: func(ID, string) {}, now: time.Now,
	}
	if u, ok := d.(interface{ Used(owner ID, id string) }); ok {
		a.used = u.Used
	}
	a.guard = guess.New(guess.Options{
		Failures: o.Failures, AddressFailures: o.AddressFailures, Parallel: runtime.GOMAXPROCS(0),
		TrustedProxies: o.TrustedProxies, Now: func() time.Time { return a.now() },
	})
	return a, nil
}

// Authenticate implements [auth.Authenticator]. It accepts Basic with the current name of a user or robot and a
// password or secret, and Bearer with a secret. The identity has the name of the account, the groups of [Directory],
// AccountClaim, and either SecretClaim or PasswordClaim.
//
// The response is the same for unknown users, wrong passwords, users without a password, disabled accounts and
// expired secrets. Only the error, which is for the audit, contains the reason. The time is the same, too, for the
// same kind of credentials.
//
// The number of wrong passwords is limited, see [AuthenticatorOptions]. That of wrong secrets is not: nobody can guess
// 160 random bits, and a program with an outdated secret must not lock out others.
//
// Errors: auth.ErrCredentials; *auth.LimitError; *auth.UnavailableError while the storage of the Directory is
// unavailable; others of the Directory.
func (a *Authenticator) Authenticate(r *http.Request) (auth.Identity, error) {
	login, err := credentials(r)
	if err != nil || login == nil {
		return auth.Identity{}, err
	}
	var l loggedIn
	if owner, id, ok := ParseSecret(login.password); ok {
		l, err = a.bySecret(r.Context(), login, owner, id)
	} else {
		l, err = a.byPassword(r, login)
	}
	if err != nil {
		return auth.Identity{}, object.Unavailable(err)
	}
	identity, err := a.identity(r.Context(), &l)
	return identity, object.Unavailable(err)
}

// Challenge implements [auth.Authenticator]. It asks for Basic.
func (a *Authenticator) Challenge(*http.Request, []auth.Access) string { return a.challenge }

// Renew implements [auth.Renewer]. It succeeds if the account is active, and the secret or password of the login is
// still valid. The identity has the current name and groups.
//
// Errors: auth.ErrCredentials, also for an identity of [Federate]; those of the Directory.
func (a *Authenticator) Renew(ctx context.Context, identity auth.Identity) (auth.Identity, error) {
	l, err := a.stillLoggedIn(ctx, identity)
	if err != nil {
		return auth.Identity{}, object.Unavailable(err)
	}
	renewed, err := a.identity(ctx, &l)
	return renewed, object.Unavailable(err)
}

// stillLoggedIn returns the current state of a login.
func (a *Authenticator) stillLoggedIn(ctx context.Context, identity auth.Identity) (loggedIn, error) {
	id, _ := identity.Claims[AccountClaim].(string)
	secret, bySecret := identity.Claims[SecretClaim].(string)
	password, byPassword := identity.Claims[PasswordClaim].(string)
	if id == "" || bySecret == byPassword || byPassword && a.noPasswords {
		return loggedIn{}, refused("no login of an account")
	}
	account, why, err := a.access.active(ctx, ID(id))
	switch {
	case err != nil:
		return loggedIn{}, err
	case why != (reason{}):
		return loggedIn{}, refused(why.String())
	case byPassword:
		version, err := a.directory.PasswordVersion(ctx, account.ID)
		if errors.Is(err, ErrUnknown) || err == nil && version != password {
			return loggedIn{}, refused("the password was changed")
		}
		return loggedIn{account: account, password: version}, err
	}
	s, err := a.directory.Secret(ctx, account.ID, secret)
	switch {
	case errors.Is(err, ErrUnknown):
		return loggedIn{}, refused("the secret was revoked")
	case err != nil:
		return loggedIn{}, err
	case s.ended(a.now()):
		return loggedIn{}, refused("the secret has expired")
	}
	a.used(account.ID, s.ID)
	return loggedIn{account: account, secret: s.ID}, nil
}
