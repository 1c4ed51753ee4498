package accounts

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// The owner of a name changes in steps. Each step is one compare-and-swap, and a process may stop after any step.
// internal/model/accounts.pml checks the protocol.
//
//   - Creating an account: first a claim of its name, with a new ID, and then its record. The record is the
//     commit: until then the name belongs to nobody.
//   - Renaming an account: first a mark with a random token in its record, then a claim of the new name, and then
//     its record with the new name. This is the commit. It requires that the mark is still there.
//   - Taking over a claim that was not committed within claimLife: first the commit is made impossible, by the
//     record of a removed account if the account was never created, and otherwise by removing the mark. Then the
//     claim is replaced, if it is unchanged.
//
// Without the mark, a process that was paused between claim and commit could commit after its claim was taken over,
// and two accounts would list one name.

// claimLife is the time after which a claim without a commit can be taken over.
const claimLife = time.Hour

// errAgain is returned when a step must begin again because of another writer.
var errAgain = errors.New("accounts: changed meanwhile")

// errTaken is returned for a name that an account has, or that looks like such a name.
var errTaken = fmt.Errorf("%w: an account has it, or a name that looks like it", ErrTaken)

// claim writes a name record for an account, which must then commit. The account need not exist yet.
//
// Errors: ErrTaken; those of the Driver.
func (a *Accounts) claim(ctx context.Context, by Actor, name string, id ID) error {
	key := nameKey(skeleton(name))
	for n := 0; ; n++ {
		claimed := &nameRecord{Name: name, ID: id, At: a.now().UTC()}
		opts := &driver.PutOptions{IfAbsent: true}
		rec, version, err := get[nameRecord](ctx, a, key)
		switch {
		case err == nil:
			opts = &driver.PutOptions{IfVersion: version}
			err = a.takeOver(ctx, by, name, rec, id)
			if rec.ID == id {
				claimed.Released = rec.Released // the quarantine goes on if this claim is not committed
			}
		case errors.Is(err, ErrUnknown):
			err = nil
		}
		if err == nil {
			err = put(ctx, a, key, claimed, opts)
		}
		if !driver.IsConflict(err) && !errors.Is(err, errAgain) {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}

// takeOver ensures that the account of a name record does not have the name, and cannot commit a claim that is
// older than the record. The caller must then replace the record by one for id, if it is unchanged.
//
// Errors: ErrTaken, errAgain; those of the Driver.
func (a *Accounts) takeOver(ctx context.Context, by Actor, name string, rec *nameRecord, id ID) error {
	if rec.ID == id {
		return nil // left by an earlier attempt of the same account
	}
	old, _, err := get[accountRecord](ctx, a, accountKey(rec.ID))
	switch {
	case errors.Is(err, ErrUnknown):
		if a.now().Sub(rec.At) < claimLife {
			return fmt.Errorf("%w: somebody else is taking it now", ErrTaken)
		}
		return a.bury(ctx, rec.ID)
	case err != nil:
		return err
	case old.Kind == "": // buried
		return nil
	case old.lists(skeleton(name)) && old.Removed != nil:
		return a.quarantined(by, old.Removed.At)
	case old.lists(skeleton(name)):
		return errTaken
	case !rec.Released.IsZero():
		if err := a.quarantined(by, rec.Released); err != nil {
			return err
		}
	case a.now().Sub(rec.At) < claimLife:
		return fmt.Errorf("%w: somebody else is taking it now", ErrTaken)
	}
	return a.unmark(ctx, rec.ID, skeleton(name))
}

// bury makes it impossible to create an account with an ID, by a record of a removed account.
//
// Errors: errAgain if it exists meanwhile; those of the Driver.
func (a *Accounts) bury(ctx context.Context, id ID) error {
	grave := &accountRecord{Account: Account{ID: id, Removed: &Mark{At: a.now().UTC(), Reason: "never made"}}}
	err := create(ctx, a, accountKey(id), grave)
	if driver.IsConflict(err) {
		return errAgain
	}
	return err
}

// unmark removes the mark of a rename, so that the rename cannot be committed.
//
// Errors: errAgain if it was committed meanwhile; those of the Driver.
func (a *Accounts) unmark(ctx context.Context, id ID, skel string) error {
	_, err := update(ctx, a, accountKey(id), func(r *accountRecord) error {
		switch {
		case r.lists(skel):
			return errAgain
		case r.Rename == nil || skeleton(r.Rename.Name) != skel:
			return errUnchanged
		}
		r.Rename = nil
		return nil
	})
	return err
}

// quarantined returns ErrTaken if a name that was given up at a time is still in quarantine.
func (a *Accounts) quarantined(by Actor, since time.Time) error {
	if by.Force || a.now().Sub(since) >= a.opts.Quarantine {
		return nil
	}
	return fmt.Errorf("%w: it was that of another account until recently", ErrTaken)
}

// allowed returns ErrTaken for a free name that the actor must not take: it is reserved, or there are repositories
// below it.
//
// Errors: ErrTaken; those of Options.InUse.
func (a *Accounts) allowed(ctx context.Context, by Actor, name string) error {
	if by.Force {
		return nil
	}
	if a.isReserved(name) {
		return fmt.Errorf("%w: it is reserved", ErrTaken)
	}
	used, err := a.inUse(ctx, name)
	if err == nil && used {
		err = fmt.Errorf("%w: there are repositories below it", ErrTaken)
	}
	return err
}

func (a *Accounts) inUse(ctx context.Context, name string) (bool, error) {
	if a.opts.InUse == nil {
		return false, nil
	}
	used, err := a.opts.InUse(ctx, name)
	if err != nil {
		return false, fmt.Errorf("accounts: repositories below the name: %w", err)
	}
	return used, nil
}
