package accounts

import (
	"context"
	"errors"
	"strings"
)

// Remove removes an account of any kind, with its password, secrets, memberships, teams and robots. The quarantine
// of the names of a user or organisation begins; the name of a robot is free in its namespace. Remove does not delete
// repositories: afterwards only admins can access them. To delete them, do so before.
//
// The removal is atomic. If Remove is interrupted, the next call of Remove or [Accounts.Tidy] deletes the
// remaining objects, which have no effect.
//
// Errors: ErrUnknown; ErrInUse for an admin and for an owner of an organisation; ErrNotified.
func (a *Accounts) Remove(ctx context.Context, by Actor, id ID) error {
	change := Change{Action: "account.remove", AccountID: id}
	acc, changed, err := a.remove(ctx, by, id)
	if acc != nil {
		change.Action, change.Account = string(acc.Kind)+".remove", acc.Name
	}
	if err != nil {
		return a.refused(ctx, by, change, err)
	}
	if changed {
		err = a.done(ctx, by, change)
	}
	return errors.Join(err, a.clear(ctx, acc))
}

// remove marks an account as removed. changed is false if it was removed before.
func (a *Accounts) remove(ctx context.Context, by Actor, id ID) (acc *Account, changed bool, err error) {
	acc, err = a.accountNow(ctx, id)
	if err != nil || acc.Removed != nil {
		return acc, false, err
	}
	r, err := update(ctx, a, accountKey(id), func(r *accountRecord) error {
		if changed = r.Removed == nil; !changed {
			return errUnchanged
		}
		if err := a.check(ctx, by, &r.Account); err != nil {
			return err
		}
		if err := a.dismiss(ctx, &r.Account); err != nil {
			return err
		}
		if r.Kind == User {
			if err := a.dismissOwner(ctx, id); err != nil {
				return err
			}
		}
		r.Removed = a.mark(by)
		return nil
	})
	if err != nil {
		return acc, false, err
	}
	return &r.Account, changed, nil
}

// clear deletes the objects of an account that was removed or never created. It is idempotent.
func (a *Accounts) clear(ctx context.Context, acc *Account) error {
	steps := []func(context.Context, ID) error{
		a.dropPassword, a.tidySecrets, a.tidyUser, a.tidyOrganisation, a.tidyRobots,
	}
	if acc.Kind == Robot {
		steps = append(steps, func(ctx context.Context, id ID) error {
			return a.dropName(ctx, robotKey(acc.Namespace, robotPart(acc.Name)), id)
		})
	}
	for _, step := range steps {
		if err := step(ctx, acc.ID); err != nil {
			return err
		}
	}
	return nil
}

func (a *Accounts) dropPassword(ctx context.Context, id ID) error {
	return a.drop(ctx, passwordKey(id))
}

// dropName removes a name record if it leads to an account.
func (a *Accounts) dropName(ctx context.Context, key string, id ID) error {
	rec, version, err := get[nameRecord](ctx, a, key)
	if errors.Is(err, ErrUnknown) || err == nil && rec.ID != id {
		return nil
	}
	if err != nil {
		return err
	}
	return a.dropVersion(ctx, key, version)
}

// last returns the last component of a key.
func last(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }
