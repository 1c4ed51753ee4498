package accounts

import "errors"

// The errors of [Accounts]. A method may wrap them with the reason.
var (
	// ErrUnknown is returned for an account, team, member or secret that does not exist.
	ErrUnknown = errors.New("accounts: unknown")
	// ErrTaken is returned for a name that an account has, that looks like such a name, that is reserved
	// or in quarantine, or below which there are repositories.
	ErrTaken = errors.New("accounts: the name is taken")
	// ErrInvalid is returned for an argument that breaks a rule, such as a name, password or pattern.
	ErrInvalid = errors.New("accounts: invalid")
	// ErrLast is returned for the removal of the last owner of an organisation or the last admin of the
	// registry.
	ErrLast = errors.New("accounts: this is the last one")
	// ErrInUse is returned when another object prevents a change, such as an organisation that the user to
	// be removed owns.
	ErrInUse = errors.New("accounts: in use")
	// ErrSetup is returned by SetUp for a token that is wrong, used or replaced.
	ErrSetup = errors.New("accounts: wrong setup token")
	// ErrLimit is returned when a maximum is reached, such as that of teams in an organisation.
	ErrLimit = errors.New("accounts: too many")
	// ErrNotified is returned with the result when a change was made, but Options.Sink did not accept its
	// event.
	ErrNotified = errors.New("accounts: the change was made, but its event was not stored")
)
