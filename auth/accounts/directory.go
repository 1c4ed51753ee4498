package accounts

import "context"

// Directory provides the facts that the [Authenticator] and the [Authorizer] need. [Accounts] implements it. A
// host with a database of users implements it instead, and tests it with package accountstest.
//
// Every method returns ErrUnknown if the requested object does not exist. It must return another error if it cannot
// know that, for example because the database is down: the request then fails with a status of 500 or more, and
// a public repository is not mistaken for a private one, or the reverse. Each request calls several methods, so
// they should answer from memory. Callers do not change the results.
type Directory interface {
	// Lookup returns the account with a name: a user, an organisation, or a robot as "NAMESPACE+ROBOT".
	// It also returns the account for one of its former names.
	Lookup(ctx context.Context, name string) (*Account, error)
	// Account returns an account by its ID, including disabled and removed accounts.
	Account(ctx context.Context, id ID) (*Account, error)
	// IsAdmin reports whether an account is an admin of the registry.
	IsAdmin(ctx context.Context, id ID) (bool, error)
	// CheckPassword checks the password of a user, and returns the version of the stored password, see
	// PasswordVersion. It must take the same time for a user who does not exist or has no password:
	// otherwise the time reveals which users exist.
	//
	// Errors: ErrUnknown, also for a wrong password.
	CheckPassword(ctx context.Context, id ID, password string) (version string, err error)
	// PasswordVersion returns a short text that changes with each change of the password of a user. The
	// [Authenticator] uses it to notice that a remembered password is outdated. Tokens contain it, so it must
	// not help to guess the password.
	//
	// Errors: ErrUnknown, also for a user without a password.
	PasswordVersion(ctx context.Context, id ID) (string, error)
	// Secret returns a secret of an account by its ID, including expired secrets.
	Secret(ctx context.Context, owner ID, id string) (*Secret, error)
	// Grants returns the grants of all teams of an organisation that the user is in. The list is empty for a
	// user who is not a member.
	Grants(ctx context.Context, organisation, user ID) ([]Grant, error)
	// Groups returns the groups of a user: "ORG" for each organisation that the user is a member of,
	// "ORG/TEAM" for each team, and "ORG/owners" for an owner.
	Groups(ctx context.Context, user ID) ([]string, error)
	// Visibility returns the visibility that was set for a repository, or "" if none was set.
	Visibility(ctx context.Context, repository string) (Visibility, error)
}
