package accounts

import (
	"context"
	"fmt"
)

// Update changes the profile of a user or organisation. change may be called several times.
//
// Errors: ErrUnknown, ErrInvalid, ErrNotified, those of change.
func (a *Accounts) Update(ctx context.Context, by Actor, id ID, change func(*Profile) error) (*Account, error) {
	report := Change{Action: "account.update", AccountID: id}
	var before, after Profile
	acc, err := a.changeAccount(ctx, id, func(acc *Account) error {
		if acc.Kind == Robot {
			return fmt.Errorf("%w: a robot has no profile", ErrInvalid)
		}
		if err := a.check(ctx, by, acc); err != nil {
			return err
		}
		before = Profile{FullName: acc.FullName, Email: acc.Email, Visibility: acc.Visibility}
		after = before
		if err := change(&after); err != nil {
			return err
		}
		if err := after.check(); err != nil {
			return err
		}
		if after == before {
			return errUnchanged
		}
		acc.FullName, acc.Email, acc.Visibility = after.FullName, after.Email, after.Visibility
		return nil
	})
	if err == nil {
		report.Action, report.Account = string(acc.Kind)+".update", acc.Name
		if before.Visibility != after.Visibility {
			report.Before, report.After = string(before.Visibility), string(after.Visibility)
		}
	}
	return acc, a.settle(ctx, by, report, after != before, err)
}

// Disable disables an account of any kind. It keeps its secrets, password, roles and memberships, which have
// no effect until [Accounts.Enable]. Disabling a disabled account does nothing.
//
// Errors: ErrUnknown, ErrInUse for an admin: call RemoveAdmin first; ErrNotified.
func (a *Accounts) Disable(ctx context.Context, by Actor, id ID) (*Account, error) {
	change := Change{Action: "account.disable", AccountID: id}
	changed := false
	acc, err := a.changeAccount(ctx, id, func(acc *Account) error {
		if err := a.check(ctx, by, acc); err != nil {
			return err
		}
		if changed = acc.Disabled == nil; !changed {
			return errUnchanged
		}
		acc.Disabled = a.mark(by)
		return a.dismiss(ctx, acc)
	})
	if err == nil {
		change.Action, change.Account = string(acc.Kind)+".disable", acc.Name
	}
	return acc, a.settle(ctx, by, change, changed, err)
}

// dismiss ensures that a user whose record is about to be marked is not an admin and does not become one. It must
// run between the read of the record and the compare-and-swap; seats.go says why.
//
// Errors: ErrInUse; those of the Driver.
func (a *Accounts) dismiss(ctx context.Context, acc *Account) error {
	if acc.Kind != User {
		return nil
	}
	return a.dismissAdmin(ctx, acc.ID)
}

// Enable enables a disabled account again. Enabling an active account does nothing.
//
// Errors: ErrUnknown, ErrNotified.
func (a *Accounts) Enable(ctx context.Context, by Actor, id ID) (*Account, error) {
	change := Change{Action: "account.enable", AccountID: id}
	changed := false
	acc, err := a.changeAccount(ctx, id, func(acc *Account) error {
		if err := a.check(ctx, by, acc); err != nil {
			return err
		}
		if changed = acc.Disabled != nil; !changed {
			return errUnchanged
		}
		acc.Disabled = nil
		return nil
	})
	if err == nil {
		change.Action, change.Account = string(acc.Kind)+".enable", acc.Name
	}
	return acc, a.settle(ctx, by, change, changed, err)
}

// mark returns a Mark with the actor and the current time.
func (a *Accounts) mark(by Actor) *Mark {
	return &Mark{By: by.Name, At: a.now().UTC(), Reason: by.Reason}
}
