package accounts

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/object"
)

// Authorizer decides by the accounts of a [Directory]; the package comment says how. It implements
// [auth.Authorizer], [auth.Explainer], [auth.Scoper] and [auth.Prefixer], and is safe for concurrent use.
type Authorizer struct {
	directory Directory
	lookup    func(ctx context.Context, name string) (*Account, error)
	rules     []auth.Authorizer
	now       func() time.Time
}

var (
	_ auth.Authorizer = (*Authorizer)(nil)
	_ auth.Explainer  = (*Authorizer)(nil)
	_ auth.Scoper     = (*Authorizer)(nil)
	_ auth.Prefixer   = (*Authorizer)(nil)
)

// NewAuthorizer returns an Authorizer for the accounts of a directory.
//
// An identity without AccountClaim has no account. It may pull from public repositories, and list the catalog, which
// then contains only these. An identity with AccountClaim has the current permissions of the account. It has no
// permissions at all if the account, or the namespace of a robot, is disabled, removed or unknown, or if the secret of
// SecretClaim has expired or was revoked.
func NewAuthorizer(d Directory) *Authorizer {
	return &Authorizer{directory: d, lookup: evenLookup(d), now: time.Now}
}

// KnowsGroups reports whether the Authorizer reads the groups of a caller itself, so that those of the identity
// do not matter: it does for accounts. Package token leaves groups out that would make a token too long.
func (a *Authorizer) KnowsGroups(identity auth.Identity) bool {
	_, ok := identity.Claims[AccountClaim].(string)
	return ok
}

// Authorize implements [auth.Authorizer].
//
// Errors: auth.ErrDenied; *auth.UnavailableError while the storage of the Directory is unavailable; others of the
// Directory and of the rules.
func (a *Authorizer) Authorize(ctx context.Context, identity auth.Identity, accesses []auth.Access) error {
	c, why, err := a.caller(ctx, identity)
	if err != nil {
		return object.Unavailable(err)
	}
	if why != (reason{}) {
		return auth.ErrDenied
	}
	for i := range accesses {
		if _, err := a.decide(ctx, &c, &accesses[i], auth.Explain); err != nil {
			return object.Unavailable(err)
		}
	}
	return nil
}

// Explain implements [auth.Explainer]. The rule is a text such as "accounts: a team of acme grants write in app/**",
// or that of the rules of [Authorizer.Refine]. If an access is denied because nothing allows it, the rule is "".
//
// Errors: those of Authorize.
func (a *Authorizer) Explain(ctx context.Context, identity auth.Identity, accesses []auth.Access) (string, error) {
	return a.explain(ctx, identity, accesses, auth.Explain)
}

// Scope implements [auth.Scoper]. Accounts know no tags, so it differs from Explain only if rules refine them.
//
// Errors: those of Authorize.
func (a *Authorizer) Scope(ctx context.Context, identity auth.Identity, accesses []auth.Access) (string, error) {
	return a.explain(ctx, identity, accesses, auth.Scope)
}

// asker is auth.Explain or auth.Scope.
type asker func(context.Context, auth.Authorizer, auth.Identity, []auth.Access) (string, error)

func (a *Authorizer) explain(ctx context.Context, identity auth.Identity, accesses []auth.Access,
	ask asker) (string, error) {
	c, why, err := a.caller(ctx, identity)
	if err != nil {
		return "", object.Unavailable(err)
	}
	if why != (reason{}) {
		return why.String(), auth.ErrDenied
	}
	var all []string
	for i := range accesses {
		why, err := a.decide(ctx, &c, &accesses[i], ask)
		if err != nil {
			return why.String(), object.Unavailable(err)
		}
		if text := why.String(); text != "" && (len(all) == 0 || all[len(all)-1] != text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, ", "), nil
}

// Prefixes implements [auth.Prefixer]. Everybody may pull from public repositories, so the result is "", unless the
// identity has no permissions at all.
func (a *Authorizer) Prefixes(ctx context.Context, identity auth.Identity) []string {
	_, why, err := a.caller(ctx, identity)
	if err == nil && why != (reason{}) {
		return nil
	}
	return []string{""} // if there is an error, Authorize will return it
}

// reason has the parts of the text that names the deciding fact. They are joined only when the text is needed, because
// most requests need none. The zero reason means that no fact has decided.
type reason [6]string

// String returns the rule for Explain.
func (r reason) String() string { return strings.Join(r[:], "") }

// caller is an identity and the facts about its account.
type caller struct {
	identity auth.Identity
	account  *Account // nil if it has none
	scoped   bool     // the secret has scopes
	scopes   []Grant
	grouped  bool // identity has the present groups
}

// caller reads the account and the secret of an identity. The reason is set if the identity has no permissions at all.
//
// Errors: those of the Directory.
func (a *Authorizer) caller(ctx context.Context, identity auth.Identity) (caller, reason, error) {
	c := caller{identity: identity}
	id, hasAccount := identity.Claims[AccountClaim]
	secret, hasSecret := identity.Claims[SecretClaim]
	if !hasAccount && !hasSecret {
		return c, reason{}, nil
	}
	accountID, ok := id.(string)
	secretID, sok := secret.(string)
	if !ok || hasSecret && !sok {
		return c, reason{"accounts: the claims of the identity are malformed"}, nil
	}
	account, why, err := a.active(ctx, ID(accountID))
	if err != nil || why != (reason{}) {
		return c, why, err
	}
	c.account = account
	if hasSecret {
		s, err := a.directory.Secret(ctx, account.ID, secretID)
		switch {
		case errors.Is(err, ErrUnknown):
			return c, reason{"accounts: a secret of ", account.Name, " that was revoked"}, nil
		case err != nil:
			return c, reason{}, err
		case s.ended(a.now()):
			return c, reason{"accounts: a secret of ", account.Name, " that has expired"}, nil
		}
		c.scoped, c.scopes = s.Scopes != nil, s.Scopes
	}
	return c, reason{}, nil
}

// active returns an active account, or the reason why it is not active. A robot is active only if its namespace is, so
// that a disabled user keeps no permissions through a robot.
//
// Errors: those of the Directory.
func (a *Authorizer) active(ctx context.Context, id ID) (*Account, reason, error) {
	account, err := a.directory.Account(ctx, id)
	switch {
	case errors.Is(err, ErrUnknown):
		return nil, reason{"accounts: an account that does not exist"}, nil
	case err != nil:
		return nil, reason{}, err
	case account.Removed != nil:
		return nil, reason{"accounts: ", account.Name, " is removed"}, nil
	case account.Disabled != nil:
		return nil, reason{"accounts: ", account.Name, " is disabled"}, nil
	case account.Kind == User:
		return account, reason{}, nil
	case account.Kind != Robot:
		return nil, reason{"accounts: ", account.Name, " is neither a user nor a robot"}, nil
	}
	namespace, err := a.directory.Account(ctx, account.Namespace)
	switch {
	case errors.Is(err, ErrUnknown), err == nil && (!namespace.Active() || namespace.Kind == Robot):
		return nil, reason{"accounts: the namespace of ", account.Name, " is disabled or removed"}, nil
	case err != nil:
		return nil, reason{}, err
	}
	return account, reason{}, nil
}
