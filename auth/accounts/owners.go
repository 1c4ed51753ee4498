package accounts

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// AddOwner makes an active user an owner and a member of an organisation. Adding an owner again does nothing.
//
// Errors: ErrUnknown, ErrLimit (100 owners, 1,000 organisations of the user), ErrInUse if the user is removed at the
// same time, ErrNotified.
func (a *Accounts) AddOwner(ctx context.Context, by Actor, organisation, user ID) error {
	c := a.aboutMember(ctx, "owner.add", organisation, user)
	added, err := a.addOwner(ctx, organisation, user)
	return a.settle(ctx, by, c, added, err)
}

func (a *Accounts) addOwner(ctx context.Context, organisation, user ID) (bool, error) {
	org, err := a.organisationNow(ctx, organisation)
	if err != nil || slices.Contains(org.Owners, user) {
		return false, err
	}
	if _, err := a.activeUser(ctx, user); err != nil {
		return false, err
	}
	if err := a.addHint(ctx, user, organisation); err != nil {
		return false, err
	}
	// The record is not valid until the user is an owner.
	_, err = updateOrCreate(ctx, a, memberKey(organisation, user), func(m *membership) error {
		counts, err := a.counts(ctx, organisation, m)
		if err != nil {
			return err
		}
		if counts {
			return errUnchanged
		}
		*m = membership{User: user, Since: a.now().UTC(), OwnerOnly: true}
		return nil
	})
	if err != nil {
		return false, err
	}
	return a.takeSeat(ctx, user, func(ctx context.Context, change func(seats) error) error {
		return a.changeOwners(ctx, organisation, change)
	})
}

// changeOwners changes the owners of an organisation.
//
// Errors: ErrUnknown, those of change, those of the Driver.
func (a *Accounts) changeOwners(ctx context.Context, organisation ID, change func(seats) error) error {
	_, err := a.changeRecord(ctx, organisation, func(r *accountRecord) error {
		if r.Kind != Organisation || r.Removed != nil {
			return ErrUnknown
		}
		return change(seats{&r.Owners, &r.Joining})
	})
	return err
}

// RemoveOwner makes an owner of an organisation an ordinary member.
//
// Errors: ErrUnknown, ErrLast, ErrNotified.
func (a *Accounts) RemoveOwner(ctx context.Context, by Actor, organisation, user ID) error {
	c := a.aboutMember(ctx, "owner.remove", organisation, user)
	err := a.keepMember(ctx, organisation, user)
	if err == nil {
		err = a.changeOwners(ctx, organisation, func(s seats) error { return s.vacate(user) })
	}
	return a.settle(ctx, by, c, true, err)
}

// keepMember changes the membership of an owner so that it does not end with the ownership.
//
// Errors: ErrUnknown if the user is not an owner, ErrLast; those of the Driver.
func (a *Accounts) keepMember(ctx context.Context, organisation, user ID) error {
	for {
		org, err := a.organisationNow(ctx, organisation)
		switch {
		case err != nil:
			return err
		case !slices.Contains(org.Owners, user):
			return ErrUnknown
		case len(org.Owners) == 1:
			return ErrLast
		}
		// A new record is first written with OwnerOnly, so that it gives nothing to a user who is no longer an owner,
		// and then changed. The change fails if RemoveMember has written the record since the owners were read.
		missing := false
		_, err = updateOrCreate(ctx, a, memberKey(organisation, user), func(m *membership) error {
			if missing = m.User == ""; missing {
				*m = membership{User: user, Since: a.now().UTC(), OwnerOnly: true}
				return nil
			}
			owner, err := a.isOwner(ctx, organisation, user)
			switch {
			case err != nil:
				return err
			case !owner:
				return ErrUnknown
			case !m.OwnerOnly:
				return errUnchanged
			}
			m.OwnerOnly = false
			return nil
		})
		if err != nil || !missing {
			return err
		}
	}
}

// isOwner reports whether a user is now an owner of an organisation.
//
// Errors: ErrUnknown if there is no such organisation; those of the Driver.
func (a *Accounts) isOwner(ctx context.Context, organisation, user ID) (bool, error) {
	org, err := a.organisationNow(ctx, organisation)
	return err == nil && slices.Contains(org.Owners, user), err
}

// dismissOwner ensures that a user owns no organisation, and that concurrent calls of AddOwner and CreateOrganisation
// begin again or fail. It must be called after the record of the user was read, and before a mark is written to it by
// compare-and-swap: see seats.go.
//
// Errors: ErrInUse for an owner; those of the Driver.
func (a *Accounts) dismissOwner(ctx context.Context, user ID) error {
	for organisation, err := range a.organisationsOf(ctx, user) {
		if err == nil {
			err = a.dismissFrom(ctx, organisation, user)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// dismissFrom is dismissOwner for one organisation.
func (a *Accounts) dismissFrom(ctx context.Context, organisation, user ID) error {
	for {
		_, err := a.changeRecord(ctx, organisation, func(r *accountRecord) error {
			err := seats{&r.Owners, &r.Joining}.dismiss(user)
			if errors.Is(err, ErrInUse) {
				err = fmt.Errorf("%w: the user owns %s", err, r.Name)
			}
			return err
		})
		if !errors.Is(err, ErrUnknown) {
			return err
		}
		switch r, _, err := get[accountRecord](ctx, a, accountKey(organisation)); {
		case errors.Is(err, ErrUnknown):
			// CreateOrganisation is running or was interrupted. It must not succeed after this.
			if err := a.bury(ctx, organisation); !errors.Is(err, errAgain) {
				return err
			}
		case err != nil:
			return err
		case r.Removed != nil:
			return nil
		}
	}
}
