package accounts

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/registrykit/registry/storage/driver"
)

// Members yields the members of an organisation, including owners and disabled users, in the order of their IDs. The
// list begins after the ID after. Removed users are not members.
//
// Errors: ErrUnknown; those of the Driver.
func (a *Accounts) Members(ctx context.Context, organisation ID, after ID) iter.Seq2[*Member, error] {
	return func(yield func(*Member, error) bool) {
		org, err := a.organisationNow(ctx, organisation)
		if err != nil {
			yield(nil, err)
			return
		}
		users := merge(a.ids(ctx, membersPrefix(organisation), after), org.Owners, after)
		ahead(users, func(user ID) (*Member, error) { return a.member(ctx, org, user) })(yield)
	}
}

// Memberships yields the memberships of a user in the order of the IDs of the organisations. The list begins after
// the ID after.
//
// Errors: ErrUnknown; those of the Driver.
func (a *Accounts) Memberships(ctx context.Context, user, after ID) iter.Seq2[*Member, error] {
	return func(yield func(*Member, error) bool) {
		if _, err := a.accountNow(ctx, user); err != nil {
			yield(nil, err)
			return
		}
		ahead(a.ids(ctx, hintsPrefix(user), after), func(organisation ID) (*Member, error) {
			org, err := a.organisationNow(ctx, organisation)
			if err != nil {
				return nil, err
			}
			return a.member(ctx, org, user)
		})(yield)
	}
}

// Member returns the membership of a user in an organisation by the storage alone: it also finds what another process
// has just written.
//
// Errors: ErrUnknown, also for a user who is not a member; those of the Driver.
func (a *Accounts) Member(ctx context.Context, organisation, user ID) (*Member, error) {
	if !validID(user) {
		return nil, ErrUnknown
	}
	org, err := a.organisationNow(ctx, organisation)
	if err != nil {
		return nil, err
	}
	return a.member(ctx, org, user)
}

// member returns the membership of a user for a list.
//
// Errors: ErrUnknown if the user is not a member or was removed; those of the Driver.
func (a *Accounts) member(ctx context.Context, org *Account, user ID) (*Member, error) {
	account, err := a.Account(ctx, user)
	if err != nil {
		return nil, err
	}
	m, _, err := get[membership](ctx, a, memberKey(org.ID, user))
	if ignore(err, ErrUnknown) != nil {
		return nil, err
	}
	owner := slices.Contains(org.Owners, user)
	if account.Removed != nil || !owner && (m == nil || m.OwnerOnly) {
		return nil, ErrUnknown
	}
	member := &Member{Organisation: org.ID, User: user, Owner: owner, Since: org.Created}
	if m == nil {
		return member, nil
	}
	member.Since = m.Since
	for _, ref := range m.Teams {
		switch _, err := a.cachedTeam(ctx, org.ID, ref); {
		case err == nil:
			member.Teams = append(member.Teams, ref.Name)
		case !errors.Is(err, ErrUnknown):
			return nil, err
		}
	}
	return member, nil
}

// AddMember makes an active user a member of an organisation. Adding a member again does nothing. AddMember, JoinTeam
// and AddOwner do not ask the user. Each membership is read to find the groups of the user, so a program in which
// anybody can create organisations should ask first, or limit who can create them.
//
// Errors: ErrUnknown, ErrLimit (1,000 organisations of the user), ErrNotified.
func (a *Accounts) AddMember(ctx context.Context, by Actor, organisation, user ID) error {
	c := a.aboutMember(ctx, "member.add", organisation, user)
	added, err := a.addMember(ctx, organisation, user, func(*membership) error { return errUnchanged })
	return a.settle(ctx, by, c, added, err)
}

// addMember ensures that an active user is a member, then calls change with the membership. It reports whether
// anything was changed. If change returns errUnchanged, a new membership is still stored.
//
// Errors: ErrUnknown, ErrLimit, those of change, those of the Driver.
func (a *Accounts) addMember(ctx context.Context, organisation, user ID,
	change func(*membership) error) (changed bool, err error) {
	if _, err := a.organisationNow(ctx, organisation); err != nil {
		return false, err
	}
	if _, err := a.activeUser(ctx, user); err != nil {
		return false, err
	}
	if err := a.addHint(ctx, user, organisation); err != nil {
		return false, err
	}
	_, err = updateOrCreate(ctx, a, memberKey(organisation, user), func(m *membership) error {
		changed = true
		counts, err := a.counts(ctx, organisation, m)
		if err != nil {
			return err
		}
		if !counts {
			*m = membership{User: user, Since: a.now().UTC()}
		}
		err = change(m)
		if errors.Is(err, errUnchanged) {
			if !counts {
				return nil
			}
			changed = false
		}
		return err
	})
	return changed && err == nil, err
}

// RemoveMember removes a user from an organisation, from its teams, and from its owners.
//
// Errors: ErrUnknown, ErrLast, ErrNotified.
func (a *Accounts) RemoveMember(ctx context.Context, by Actor, organisation, user ID) error {
	c := a.aboutMember(ctx, "member.remove", organisation, user)
	return a.settle(ctx, by, c, true, a.removeMember(ctx, organisation, user))
}

// removeMember ends a membership atomically. For most members, the step is the deletion of the record. For an owner,
// the record is first changed so that it ends with the ownership, and the step is the change of the owners. Otherwise
// a crash could leave an owner without a membership, or a member who was to be removed.
func (a *Accounts) removeMember(ctx context.Context, organisation, user ID) error {
	if !validID(user) {
		return ErrUnknown
	}
	key := memberKey(organisation, user)
	owned := false
	for n := 0; ; n++ {
		org, err := a.organisationNow(ctx, organisation)
		if err != nil {
			return err
		}
		if slices.Contains(org.Owners, user) {
			if err := a.removeOwning(ctx, org, user); ignore(err, ErrUnknown) != nil {
				return err
			}
			owned = true
			continue
		}
		m, version, err := get[membership](ctx, a, key)
		switch {
		case errors.Is(err, ErrUnknown) && (owned || n > 0):
			return nil
		case err != nil:
			return err
		case m.OwnerOnly && owned: // the change is made
			_ = a.dropVersion(ctx, key, version)
			return nil
		case m.OwnerOnly:
			return ErrUnknown
		}
		err = a.deleteVersion(ctx, key, version)
		if !driver.IsConflict(err) && !errors.Is(err, driver.ErrNotExist) {
			return err
		}
		if err := pause(ctx, n); err != nil {
			return err
		}
	}
}

// removeOwning ends the ownership of a user, and the membership with it.
//
// Errors: ErrUnknown if the user is no longer an owner, ErrLast; those of the Driver.
func (a *Accounts) removeOwning(ctx context.Context, org *Account, user ID) error {
	if len(org.Owners) == 1 {
		return ErrLast
	}
	_, err := updateOrCreate(ctx, a, memberKey(org.ID, user), func(m *membership) error {
		if m.User == "" {
			*m = membership{User: user, Since: a.now().UTC()}
		}
		m.OwnerOnly = true // written even if it is set: keepMember depends on it
		return nil
	})
	if err != nil {
		return err
	}
	return a.changeOwners(ctx, org.ID, func(s seats) error { return s.vacate(user) })
}
