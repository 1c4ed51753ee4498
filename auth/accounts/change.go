package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry/notification"
)

// Actor identifies who makes a change, for events and the audit. The methods of [Accounts] do not check
// whether the actor may make the change: the caller must decide that before, for example by an
// [auth.Authorizer].
type Actor struct {
	// Name is the name of the identity, or "" for the program itself.
	Name string
	// Reason is a text for the audit. It may be "".
	Reason string
	// Force permits reserved names, names below which there are repositories, and names in
	// quarantine. It does not permit names that are taken or look like taken ones. Set it only for
	// admins.
	Force bool

	// If is called with the account that a change is about, inside the compare-and-swap. If it returns an error, nothing
	// is changed, and the method returns the error. It may be called several times. Update, Rename, Release, Disable,
	// Enable, Remove and UpdateRobot call it; SetPassword calls it just before the change. Default: no condition.
	If func(current *Account) error
	// IfPassword is If for the version of the password of a user, see [Directory]. The version is "" if the user has no
	// password. SetPassword calls it. Default: no condition.
	IfPassword func(version string) error
	// IfSecret is If for a secret. RotateSecret and RevokeSecret call it. Default: no condition.
	IfSecret func(current *Secret) error
	// IfTeam is If for a team. UpdateTeam and RemoveTeam call it. Default: no condition.
	IfTeam func(current *Team) error
}

// check returns the error of Actor.If for an account.
func (a *Accounts) check(ctx context.Context, by Actor, current *Account) error {
	if by.If == nil {
		return nil
	}
	if current.Kind == Robot {
		if namespace, err := a.Account(ctx, current.Namespace); err == nil {
			current = withNamespace(current, namespace.Name)
		} else if !errors.Is(err, ErrUnknown) {
			return err
		}
	}
	return by.If(current)
}

// checkSecret returns the error of Actor.IfSecret for a secret.
func (by *Actor) checkSecret(current *Secret) error {
	if by.IfSecret == nil {
		return nil
	}
	return by.IfSecret(current)
}

// checkTeam returns the error of Actor.IfTeam for a team.
func (by *Actor) checkTeam(current *Team) error {
	if by.IfTeam == nil {
		return nil
	}
	return by.IfTeam(current)
}

// Change describes a change, for events and the audit. It contains no passwords and no values of secrets.
type Change struct {
	// Action is the kind of change, such as "user.create". docs/identity.md lists all kinds.
	Action string `json:"action"`
	// By is the name of the actor, and Reason is the reason that the actor gave.
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
	// Account and AccountID are the name and the ID of the changed account.
	Account   string `json:"account,omitempty"`
	AccountID ID     `json:"accountID,omitempty"`
	// Team, Member and Repository are the names of other objects of the change. Secret is the ID of a
	// secret.
	Team       string `json:"team,omitempty"`
	Member     string `json:"member,omitempty"`
	Secret     string `json:"secret,omitempty"`
	Repository string `json:"repository,omitempty"`
	// Before and After are the old and the new value, as texts for display.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Refused is the reason why a change was rejected, or "" if it was made. A rejected change has no
	// event.
	Refused string `json:"refused,omitempty"`
}

// notifyTimeout is the maximum time that a change waits for Options.Sink.
const notifyTimeout = 30 * time.Second

// done reports a change that was made, to the audit and the sink. The change cannot be undone, so done
// reports it even if ctx has ended.
//
// Errors: ErrNotified.
func (a *Accounts) done(ctx context.Context, by Actor, c Change) error {
	c.By, c.Reason, c.At = by.Name, by.Reason, a.now().UTC()
	ctx = context.WithoutCancel(ctx)
	if a.opts.Audit != nil {
		a.opts.Audit(ctx, c)
	}
	if a.opts.Sink == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	event := notification.Event{
		ID:         notification.NewID(),
		Time:       c.At,
		Action:     notification.Account,
		Repository: c.Repository,
		Actor:      c.By,
		Instance:   a.opts.Instance,
		Account: &notification.AccountChange{
			Change: c.Action, Name: c.Account, ID: string(c.AccountID),
			Team: c.Team, Member: c.Member, Secret: c.Secret,
			Before: c.Before, After: c.After, Reason: c.Reason,
		},
	}
	if err := a.opts.Sink.Notify(ctx, []notification.Event{event}); err != nil {
		return fmt.Errorf("%w: %w", ErrNotified, err)
	}
	return nil
}

// refusals are the errors of changes that a rule of this package rejects.
var refusals = []error{ErrUnknown, ErrTaken, ErrInvalid, ErrLast, ErrInUse, ErrSetup, ErrLimit}

// refused reports a rejected change to the audit, and returns err. It does not report failures of the
// storage, after which the change may have been made.
func (a *Accounts) refused(ctx context.Context, by Actor, c Change, err error) error {
	if a.opts.Audit == nil || err == nil {
		return err
	}
	for _, rule := range refusals {
		if errors.Is(err, rule) {
			c.By, c.Reason, c.At, c.Refused = by.Name, by.Reason, a.now().UTC(), err.Error()
			a.opts.Audit(context.WithoutCancel(ctx), c)
			break
		}
	}
	return err
}
