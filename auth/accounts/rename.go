package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
)

// maxFormer is the maximum number of former names of an account.
const maxFormer = 5

// Rename gives a user or organisation another name. It does not move repositories. The former name still belongs
// to the account until [Accounts.Release], so the repositories below it stay where they are, and nobody else can
// take it. Logins need the new name at once. An account can have 5 former names.
//
// Rename is atomic: if it is interrupted, the account has either its old or its new name.
//
// Errors: ErrUnknown, ErrInvalid, ErrTaken, ErrLimit, ErrNotified.
func (a *Accounts) Rename(ctx context.Context, by Actor, id ID, name string) (*Account, error) {
	change := Change{Action: "account.rename", AccountID: id}
	acc, before, err := a.rename(ctx, by, id, name)
	if err == nil {
		change.Action = string(acc.Kind) + ".rename"
		change.Account, change.Before, change.After = acc.Name, before, acc.Name
	}
	return acc, a.settle(ctx, by, change, before != "", err)
}

// rename is Rename without reports. before is the former name, or "" if nothing was changed.
func (a *Accounts) rename(ctx context.Context, by Actor, id ID, name string) (acc *Account, before string, err error) {
	if err := checkName(name); err != nil {
		return nil, "", err
	}
	for n := 0; ; n++ {
		acc, before, err = a.tryRename(ctx, by, id, name)
		if !errors.Is(err, errAgain) {
			return acc, before, err
		}
		if err := pause(ctx, n); err != nil {
			return nil, "", err
		}
	}
}

// tryRename renames an account in the steps of claim.go.
//
// Errors: those of Rename; errAgain if the mark was taken away meanwhile.
func (a *Accounts) tryRename(ctx context.Context, by Actor, id ID, name string) (*Account, string, error) {
	acc, err := a.accountNow(ctx, id)
	if err != nil {
		return nil, "", err
	}
	// A name that looks like one of the account is not that name: it may be reserved, and there may be
	// repositories below it, which belong to nobody.
	if !acc.named(name) {
		if err := a.allowed(ctx, by, name); err != nil {
			return nil, "", err
		}
	}
	token := ""
	if !acc.lists(skeleton(name)) {
		token = rand.Text()
		_, err = a.changeRecord(ctx, id, func(r *accountRecord) error {
			if err := a.check(ctx, by, &r.Account); err != nil {
				return err
			}
			r.Rename = &renameMark{Name: name, Token: token}
			_, err := formerNames(&r.Account, name)
			return err
		})
		if err == nil {
			err = a.claim(ctx, by, name, id)
		}
		if err != nil {
			return nil, "", err
		}
	}
	if acc.Kind == Organisation {
		if err := a.hintOrganisation(ctx, name); err != nil {
			return nil, "", err
		}
	}
	before := ""
	r, err := a.changeRecord(ctx, id, func(r *accountRecord) error {
		if err := a.check(ctx, by, &r.Account); err != nil {
			return err
		}
		switch {
		case r.Name == name:
			return errUnchanged
		case r.lists(skeleton(name)):
		case r.Rename == nil || r.Rename.Token != token:
			return errAgain
		}
		former, err := formerNames(&r.Account, name)
		if err != nil {
			return err
		}
		before, r.Name, r.Former, r.Rename = r.Name, name, former, nil
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	return &r.Account, before, nil
}

// formerNames returns the former names that an account has after a rename.
//
// Errors: ErrInvalid for a robot, ErrLimit.
func formerNames(acc *Account, name string) ([]string, error) {
	if acc.Kind == Robot {
		return nil, fmt.Errorf("%w: a robot cannot be renamed", ErrInvalid)
	}
	former := append(slices.Clone(acc.Former), acc.Name)
	former = slices.DeleteFunc(former, func(s string) bool { return s == name })
	if len(former) > maxFormer {
		return nil, fmt.Errorf("%w: an account has at most %d former names; release one", ErrLimit, maxFormer)
	}
	return former, nil
}

// Release gives up a former name, whose quarantine begins.
//
// Errors: ErrUnknown, ErrInUse if there are repositories below it, ErrNotified.
func (a *Accounts) Release(ctx context.Context, by Actor, id ID, former string) (*Account, error) {
	change := Change{Action: "account.release", AccountID: id}
	acc, err := a.release(ctx, by, id, former)
	if err == nil {
		change.Action = string(acc.Kind) + ".release"
		change.Account, change.Before = acc.Name, former
	}
	return acc, a.settle(ctx, by, change, true, err)
}

func (a *Accounts) release(ctx context.Context, by Actor, id ID, former string) (*Account, error) {
	acc, err := a.accountNow(ctx, id)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(acc.Former, former) {
		return nil, fmt.Errorf("%w former name", ErrUnknown)
	}
	if err := a.check(ctx, by, acc); err != nil {
		return nil, err // before the quarantine begins
	}
	if !by.Force {
		used, err := a.inUse(ctx, former)
		if err != nil {
			return nil, err
		}
		if used {
			return nil, fmt.Errorf("%w: there are repositories below the name", ErrInUse)
		}
	}
	// First the time, then the release: the time counts only once the account does not list the
	// name.
	_, err = update(ctx, a, nameKey(skeleton(former)), func(rec *nameRecord) error {
		if rec.ID != id {
			return errUnchanged
		}
		rec.Released = a.now().UTC()
		return nil
	})
	if ignore(err, ErrUnknown) != nil {
		return nil, err
	}
	return a.changeAccount(ctx, id, func(acc *Account) error {
		if err := a.check(ctx, by, acc); err != nil {
			return err
		}
		i := slices.Index(acc.Former, former)
		if i < 0 {
			return fmt.Errorf("%w former name", ErrUnknown)
		}
		acc.Former = slices.Delete(acc.Former, i, i+1)
		return nil
	})
}
