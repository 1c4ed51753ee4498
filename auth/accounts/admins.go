package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// adminsKey is the key of the admins.
const adminsKey = prefix + "admins"

// adminList are the admins of the registry. All of them are active users: see seats.go.
type adminList struct {
	Admins  []ID     `json:"admins"`
	Joining []joiner `json:"joining,omitempty"`
}

func (l *adminList) seats() seats { return seats{&l.Admins, &l.Joining} }

// isAt implements placed. Without a list, it is another fact, which does not mean that there is no admin.
func (l *adminList) isAt(string) bool { return l.Admins != nil }

// Admins returns the admins of the registry, sorted.
func (a *Accounts) Admins(ctx context.Context) ([]ID, error) {
	l, _, err := get[adminList](ctx, a, adminsKey)
	if errors.Is(err, ErrUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(l.Admins)
	return l.Admins, nil
}

// IsAdmin implements [Directory].
func (a *Accounts) IsAdmin(ctx context.Context, id ID) (bool, error) {
	l, err := cached[adminList](ctx, a, adminsKey)
	if errors.Is(err, ErrUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.Contains(l.Admins, id), nil
}

// AddAdmin makes an active user an admin of the registry. Adding an admin again does nothing.
//
// Errors: ErrUnknown, ErrLimit (100), ErrInUse if the user is disabled or removed at the same time, ErrNotified.
func (a *Accounts) AddAdmin(ctx context.Context, by Actor, id ID) error {
	c := a.about(ctx, "admin.add", id)
	_, err := a.activeUser(ctx, id)
	added := false
	if err == nil {
		added, err = a.takeSeat(ctx, id, a.changeAdmins)
	}
	return a.settle(ctx, by, c, added, err)
}

// RemoveAdmin makes an admin of the registry an ordinary user.
//
// Errors: ErrUnknown, ErrLast, ErrNotified.
func (a *Accounts) RemoveAdmin(ctx context.Context, by Actor, id ID) error {
	c := a.about(ctx, "admin.remove", id)
	_, err := update(ctx, a, adminsKey, func(l *adminList) error { return l.seats().vacate(id) })
	return a.settle(ctx, by, c, true, err)
}

func (a *Accounts) changeAdmins(ctx context.Context, change func(seats) error) error {
	_, err := updateOrCreate(ctx, a, adminsKey, func(l *adminList) error {
		if l.Admins == nil {
			l.Admins = []ID{} // see isAt
		}
		return change(l.seats())
	})
	return err
}

// firstAdmin makes an active user an admin if there is no other admin.
//
// Errors: ErrSetup if there is another admin; those of takeSeat.
func (a *Accounts) firstAdmin(ctx context.Context, id ID) error {
	_, err := a.takeSeat(ctx, id, func(ctx context.Context, change func(seats) error) error {
		return a.changeAdmins(ctx, func(s seats) error {
			if len(*s.holders) > 0 && !s.has(id) {
				return ErrSetup
			}
			return change(s)
		})
	})
	return err
}

// dismissAdmin ensures that a user is not an admin, and that a concurrent call of AddAdmin begins again. It must be
// called after the record of the user was read, and before a mark is written to it by compare-and-swap: see seats.go.
//
// Errors: ErrInUse for an admin; those of the Driver.
func (a *Accounts) dismissAdmin(ctx context.Context, id ID) error {
	_, err := update(ctx, a, adminsKey, func(l *adminList) error { return l.seats().dismiss(id) })
	if errors.Is(err, ErrInUse) {
		err = fmt.Errorf("%w: the user is an admin", err)
	}
	return ignore(err, ErrUnknown)
}
