package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
)

// The admins of the registry and the owners of an organisation are lists of seats. A list must never become empty, and
// must contain active users only. A list is one object, so one compare-and-swap decides which seat is the last one. A
// user is another object, so giving a user a seat has three steps:
//
//  1. Add an entry for the attempt to the object of the list. It gives no permissions and is not a seat.
//  2. Write the record of the user again, with the same content, if the user is active.
//  3. Turn the entry into a seat, if the entry is still there. This is the commit.
//
// Disabling or removing a user has three steps, too: read the record of the user; delete the entries of the user, or
// fail if there is a seat; write the mark to the record by compare-and-swap. If the entry was added after the second
// step, either step 2 has changed the record, and the mark is not written, or step 2 finds the mark. If the entry was
// added before, step 3 finds it missing. So no marked user has a seat, wherever a process stops, and a mark never
// has to be undone.

const (
	// maxSeats is the maximum number of admins of the registry, and of owners of one organisation.
	maxSeats = 100
	// maxJoiners is the maximum number of entries in one list. At the maximum, a new entry replaces the oldest one,
	// whose attempt must begin again.
	maxJoiners = 100
	// maxAttempts is the maximum number of attempts after the entry of the previous one was deleted.
	maxAttempts = 20
)

// joiner is the entry of an attempt to give a user a seat. Attempt is random, so that an attempt cannot succeed with
// the entry of another attempt.
type joiner struct {
	User    ID     `json:"user"`
	Attempt string `json:"attempt"`
}

// seats is a list of seats and entries in a fact that is being changed.
type seats struct {
	holders *[]ID
	joining *[]joiner
}

// changeSeats changes the object of a list by compare-and-swap, as update does.
type changeSeats func(ctx context.Context, change func(seats) error) error

// errDismissed is returned by confirm if the entry is missing.
var errDismissed = errors.New("accounts: the entry was deleted")

func (s seats) has(user ID) bool {
	return slices.Contains(*s.holders, user)
}

// enter adds an entry.
//
// Errors: errUnchanged if the user has a seat, ErrLimit.
func (s seats) enter(user ID, attempt string) error {
	switch {
	case s.has(user):
		return errUnchanged
	case len(*s.holders) >= maxSeats:
		return fmt.Errorf("%w: there are %d", ErrLimit, maxSeats)
	case len(*s.joining) >= maxJoiners:
		*s.joining = slices.Delete(*s.joining, 0, len(*s.joining)-maxJoiners+1)
	}
	*s.joining = append(*s.joining, joiner{user, attempt})
	return nil
}

// leave deletes the entry of an attempt, and reports whether it was there.
func (s seats) leave(attempt string) bool {
	n := len(*s.joining)
	*s.joining = slices.DeleteFunc(*s.joining, func(j joiner) bool { return j.Attempt == attempt })
	return len(*s.joining) < n
}

// confirm turns the entry of an attempt into a seat. If the user has a seat from another attempt, it only deletes the
// entry.
//
// Errors: errDismissed, ErrLimit.
func (s seats) confirm(user ID, attempt string) error {
	if !s.leave(attempt) {
		return errDismissed
	}
	switch {
	case s.has(user):
		return nil
	case len(*s.holders) >= maxSeats:
		return fmt.Errorf("%w: there are %d", ErrLimit, maxSeats)
	}
	*s.holders = append(*s.holders, user)
	slices.Sort(*s.holders)
	return nil
}

// vacate deletes the seat of a user.
//
// Errors: ErrUnknown if the user has no seat, ErrLast.
func (s seats) vacate(user ID) error {
	i := slices.Index(*s.holders, user)
	switch {
	case i < 0:
		return ErrUnknown
	case len(*s.holders) == 1:
		return ErrLast
	}
	*s.holders = slices.Delete(*s.holders, i, i+1)
	return nil
}

// dismiss deletes the entries of a user.
//
// Errors: ErrInUse if the user has a seat, errUnchanged if there is no entry.
func (s seats) dismiss(user ID) error {
	if s.has(user) {
		return ErrInUse
	}
	n := len(*s.joining)
	*s.joining = slices.DeleteFunc(*s.joining, func(j joiner) bool { return j.User == user })
	if len(*s.joining) == n {
		return errUnchanged
	}
	return nil
}

// takeSeat gives an active user a seat. taken is false if the user had one. If takeSeat is interrupted, it leaves at
// most an entry, which has no effect.
//
// Errors: ErrUnknown if the user is not active, ErrLimit; those of change.
func (a *Accounts) takeSeat(ctx context.Context, user ID, change changeSeats) (taken bool, err error) {
	for n := range maxAttempts {
		taken, err = a.trySeat(ctx, user, change)
		if !errors.Is(err, errDismissed) {
			return taken, err
		}
		if err := pause(ctx, n); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("%w: the user is being disabled or removed now", ErrInUse)
}

func (a *Accounts) trySeat(ctx context.Context, user ID, change changeSeats) (bool, error) {
	attempt := rand.Text()
	has := false
	err := change(ctx, func(s seats) error {
		has = s.has(user)
		return s.enter(user, attempt)
	})
	if err != nil || has {
		return false, err
	}
	if err := a.touchUser(ctx, user); err != nil {
		lerr := change(ctx, func(s seats) error {
			if !s.leave(attempt) {
				return errUnchanged
			}
			return nil
		})
		return false, errors.Join(err, lerr)
	}
	err = change(ctx, func(s seats) error {
		has = s.has(user)
		return s.confirm(user, attempt)
	})
	return !has && err == nil, err
}

// touchUser writes the record of an active user with the same content, so that its version changes. A concurrent call
// of Disable or Remove that has read the record before must then read it again.
//
// Errors: ErrUnknown if the account is not an active user; those of the Driver.
func (a *Accounts) touchUser(ctx context.Context, user ID) error {
	_, err := a.changeRecord(ctx, user, func(r *accountRecord) error {
		if r.Kind != User || !r.Active() {
			return fmt.Errorf("%w: no active user", ErrUnknown)
		}
		return nil
	})
	return err
}
