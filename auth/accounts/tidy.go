package accounts

import (
	"context"
	"errors"
	"strings"
)

// Tidy deletes the objects that interrupted calls have left behind: names that were claimed for accounts that
// were never created, robots that never got their names, and objects of removed accounts. They have no effect, so
// Tidy is needed only to free space. It reads all accounts.
//
// Tidy keeps the record of a removed account, because an ID must never be used again. It deletes the full name and
// the email from it.
//
// Errors: those of the Driver.
func (a *Accounts) Tidy(ctx context.Context) error {
	for key, err := range a.keys(ctx, prefix+"u/", "") {
		if err == nil {
			err = a.tidyAccount(ctx, ID(last(key)))
		}
		if err != nil {
			return err
		}
	}
	for key, err := range a.keys(ctx, prefix+"n/", "") {
		if err == nil {
			err = a.tidyName(ctx, key)
		}
		if err != nil {
			return err
		}
	}
	for key, err := range a.keys(ctx, orgNamesPrefix, "") {
		if err == nil {
			err = a.tidyOrganisationName(ctx, key)
		}
		if err != nil {
			return err
		}
	}
	for _, kind := range []string{"p/", "m/"} {
		if err := a.tidyUnmade(ctx, prefix+kind); err != nil {
			return err
		}
	}
	return nil
}

// tidyAccount deletes the objects of a removed account, and a robot without a name.
func (a *Accounts) tidyAccount(ctx context.Context, id ID) error {
	acc, err := a.accountNow(ctx, id)
	if err == nil && acc.Kind == Robot && acc.Removed == nil && a.now().Sub(acc.Created) >= claimLife {
		r, _, err := get[nameRecord](ctx, a, robotKey(acc.Namespace, robotPart(acc.Name)))
		if errors.Is(err, ErrUnknown) || err == nil && r.ID != id {
			return a.drop(ctx, accountKey(id))
		}
		return err
	}
	if errors.Is(err, ErrUnknown) || err == nil && acc.Removed == nil {
		return nil
	}
	if err == nil {
		err = a.clear(ctx, acc)
	}
	if err != nil {
		return err
	}
	_, err = update(ctx, a, accountKey(id), func(r *accountRecord) error {
		if r.Removed == nil || r.FullName == "" && r.Email == "" {
			return errUnchanged
		}
		r.FullName, r.Email = "", ""
		return nil
	})
	return err
}

// tidyName deletes a name record if anybody could take the name.
func (a *Accounts) tidyName(ctx context.Context, key string) error {
	rec, version, err := get[nameRecord](ctx, a, key)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err == nil {
		err = a.takeOver(ctx, Actor{}, rec.Name, rec, "")
	}
	switch {
	case errors.Is(err, ErrTaken), errors.Is(err, errAgain):
		return nil // in use, in quarantine, or being taken now
	case err != nil:
		return err
	}
	return a.dropVersion(ctx, key, version)
}

// tidyUnmade deletes the objects that were prepared for accounts that were never created. It first makes it
// impossible to create them, so that it never deletes the password of an account that is about to exist.
func (a *Accounts) tidyUnmade(ctx context.Context, under string) error {
	var exists ID
	for info, err := range a.driver.List(ctx, under, nil) {
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(info.Key[len(under):], "/")
		id := ID(first)
		if id == exists || a.now().Sub(info.ModTime) < claimLife {
			continue
		}
		r, _, err := get[accountRecord](ctx, a, accountKey(id))
		switch {
		case errors.Is(err, ErrUnknown):
			err = a.bury(ctx, id)
		case err == nil && r.Kind != "":
			exists = id
			continue
		}
		if err == nil {
			err = a.clear(ctx, &Account{ID: id})
		}
		if err != nil && !errors.Is(err, errAgain) {
			return err
		}
	}
	return nil
}
