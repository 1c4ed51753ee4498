package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
	"github.com/registrykit/registry/auth/internal/guess"
	"github.com/registrykit/registry/auth/internal/secretvalue"
)

// login is the credentials of a request.
type login struct {
	bearer bool
	// user is the name in Basic. It is "" for Bearer.
	user string
	// password is a password or a secret.
	password string
}

// loggedIn is a login that was accepted: by a secret, or by a version of a password.
type loggedIn struct {
	account          *Account
	secret, password string
}

// refused returns auth.ErrCredentials with a reason for the audit. No response contains the reason.
func refused(reason string) error { return fmt.Errorf("%s: %w", reason, auth.ErrCredentials) }

// credentials returns the credentials of a request, or nil if it has none.
//
// Errors: auth.ErrCredentials.
func credentials(r *http.Request) (*login, error) {
	values := r.Header["Authorization"]
	if len(values) == 1 && len(values[0]) <= basic.MaxHeader {
		if scheme, token, _ := strings.Cut(values[0], " "); strings.EqualFold(scheme, "Bearer") {
			return &login{bearer: true, password: strings.Trim(token, " ")}, nil
		}
	}
	b, err := basic.Parse(r)
	if err != nil || b == nil {
		return nil, err
	}
	return &login{user: b.User, password: b.Password}, nil
}

// identity returns the identity of a login.
func (a *Authenticator) identity(ctx context.Context, l *loggedIn) (auth.Identity, error) {
	identity := auth.Identity{Name: l.account.Name, Claims: map[string]any{AccountClaim: string(l.account.ID)}}
	if l.secret != "" {
		identity.Claims[SecretClaim] = l.secret
	} else {
		identity.Claims[PasswordClaim] = l.password
	}
	var err error
	identity.Groups, err = groupsOf(ctx, a.directory, l.account)
	return identity, err
}

// Identify returns the identity that a login of a user or robot has now, without the claims of its
// password or secret. An explanation of permissions uses it. The account may be disabled: the
// [Authorizer] denies it everything then.
//
// Errors: ErrUnknown, also for an organisation, because nobody can log in as one; those of the Directory.
func Identify(ctx context.Context, d Directory, name string) (auth.Identity, error) {
	account, err := d.Lookup(ctx, name)
	if err != nil {
		return auth.Identity{}, err
	}
	if account.Kind == Organisation {
		return auth.Identity{}, fmt.Errorf("%w: %s is an organisation", ErrUnknown, account.Name)
	}
	identity := auth.Identity{Name: account.Name, Claims: map[string]any{AccountClaim: string(account.ID)}}
	identity.Groups, err = groupsOf(ctx, d, account)
	return identity, err
}

// groupsOf returns the groups of an account. Robots are in none.
func groupsOf(ctx context.Context, d Directory, account *Account) ([]string, error) {
	if account.Kind != User {
		return nil, nil
	}
	groups, err := d.Groups(ctx, account.ID)
	if errors.Is(err, ErrUnknown) {
		err = nil
	}
	return groups, err
}

// bySecret checks a login by a secret, which states its owner and its ID.
func (a *Authenticator) bySecret(ctx context.Context, l *login, owner ID, id string) (loggedIn, error) {
	s, err := a.directory.Secret(ctx, owner, id)
	switch {
	case errors.Is(err, ErrUnknown):
		return loggedIn{}, refused("unknown secret")
	case err != nil:
		return loggedIn{}, err
	case s.Owner != owner || s.ID != id || !secretvalue.IsHash(s.Hash, l.password):
		return loggedIn{}, refused("wrong secret")
	case s.ended(a.now()):
		return loggedIn{}, refused("the secret has expired")
	}
	account, why, err := a.access.active(ctx, owner)
	switch {
	case err != nil:
		return loggedIn{}, err
	case why != (reason{}):
		return loggedIn{}, refused(why.String())
	case !l.bearer && l.user != account.Name:
		return loggedIn{}, refused("the secret belongs to another name")
	}
	a.used(owner, id)
	return loggedIn{account: account, secret: id}, nil
}

// isJWT reports whether a password has the form of a JWT, such as the ID token of a job that another Authenticator has
// refused. No user may have such a password, so it is no guess: jobs with expired tokens must not use up the
// failures of their network.
func isJWT(password string) bool {
	return strings.HasPrefix(password, "eyJ") && strings.Count(password, ".") == 2 // the beginning of {" in base64
}

// byPassword checks a login by password.
func (a *Authenticator) byPassword(r *http.Request, l *login) (loggedIn, error) {
	switch {
	case l.bearer:
		return loggedIn{}, refused("a Bearer token that is no secret")
	case l.password == "" || len(l.password) > maxPassword:
		return loggedIn{}, refused("the length of the password is wrong for every user")
	case isJWT(l.password):
		return loggedIn{}, refused("a JWT is no password")
	case secretvalue.Is(l.password):
		return loggedIn{}, refused("a secret of another kind, such as a refresh token, is no password")
	case a.noPasswords:
		return loggedIn{}, refused("passwords are not accepted")
	}
	var in loggedIn // set by valid, which is called last
	ctx := r.Context()
	err := a.guard.Try(r, guess.Login{
		User: l.user, Password: l.password,
		Valid: func(version string) (bool, error) {
			account, why, err := a.find(ctx, l.user)
			if err != nil || why != "" {
				return false, err
			}
			in = loggedIn{account: account, password: version}
			now, err := a.directory.PasswordVersion(ctx, account.ID)
			if errors.Is(err, ErrUnknown) {
				return false, nil
			}
			return now == version, err
		},
		Check: func(ctx context.Context) (string, error) { return a.checkPassword(ctx, l) },
	})
	return in, err
}

// find returns the account of a user who may log in by password, or the reason why nobody of this name can. The
// account of such a reason may be nil.
//
// It makes the same requests to the storage for a known and an unknown name, whose number would otherwise show in the
// time.
func (a *Authenticator) find(ctx context.Context, name string) (account *Account, why string, err error) {
	if strings.Contains(name, "+") {
		return nil, "a robot has no password", nil // whether it exists or not
	}
	account, err = a.lookup(ctx, name)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, "unknown user", nil
	case err != nil:
		return nil, "", err
	}
	_, not, err := a.access.active(ctx, account.ID)
	switch {
	case err != nil:
		return nil, "", err
	case not != (reason{}):
		return account, not.String(), nil
	case account.Kind != User:
		return account, "only users have a password", nil
	case account.Name != name:
		return account, "the user has another name now", nil
	}
	return account, "", nil
}

// evenLookup returns the Lookup of a Directory that makes as many requests for a name that nobody has.
func evenLookup(d Directory) func(ctx context.Context, name string) (*Account, error) {
	if e, ok := d.(interface {
		lookupEvenly(ctx context.Context, name string) (*Account, error)
	}); ok {
		return e.lookupEvenly
	}
	return d.Lookup
}

// lookupEvenly is Lookup for a name that a stranger has given. If there is no record of the name, it asks for the
// account of a decoy, as it would ask for the account that the record leads to.
func (a *Accounts) lookupEvenly(ctx context.Context, name string) (*Account, error) {
	if validName(name) {
		_, err := cached[nameRecord](ctx, a, nameKey(skeleton(name)))
		if !errors.Is(err, ErrUnknown) {
			if err != nil {
				return nil, err
			}
			return a.Lookup(ctx, name)
		}
	}
	if _, err := a.Account(ctx, decoy(name)); err != nil {
		return nil, err
	}
	return nil, ErrUnknown
}

// checkPassword returns the version of the password if it is right. It checks a password in each case,
// so that the time does not reveal why a login is refused.
func (a *Authenticator) checkPassword(ctx context.Context, l *login) (version string, err error) {
	account, why, err := a.find(ctx, l.user)
	if err != nil {
		return "", err
	}
	id := decoy(l.user)
	if account != nil {
		id = account.ID
	}
	version, err = a.directory.CheckPassword(ctx, id, l.password)
	switch {
	case ignore(err, ErrUnknown) != nil:
		return "", err
	case why != "":
		return "", refused(why)
	case err == nil:
		return version, nil
	}
	if _, err := a.directory.PasswordVersion(ctx, id); errors.Is(err, ErrUnknown) {
		return "", refused("the user has no password")
	}
	return "", refused("wrong password")
}
