package accounts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// maxTeams is the maximum number of teams of an organisation.
	maxTeams = 500
	// maxTeamText is the maximum length of the description of a team, in bytes.
	maxTeamText = 1024
	// ownersTeam is a name that no team can have, because NAME/owners is the group of the owners.
	ownersTeam = "owners"
)

// teamsPrefix is the prefix of the keys of the teams of an organisation.
func teamsPrefix(organisation ID) string { return prefix + "t/" + string(organisation) + "/" }

// teamKey returns the key of a team. The name is valid.
func teamKey(organisation ID, name string) string { return teamsPrefix(organisation) + name }

// Team returns a team by the storage alone: it also finds what another process has just written.
//
// Errors: ErrUnknown, also for an organisation that was removed; those of the Driver.
func (a *Accounts) Team(ctx context.Context, organisation ID, name string) (*Team, error) {
	return a.teamNow(ctx, organisation, name)
}

// Teams returns the teams of an organisation, sorted by name. There are at most 500.
//
// Errors: ErrUnknown.
func (a *Accounts) Teams(ctx context.Context, organisation ID) ([]Team, error) {
	return collect(a.TeamsAfter(ctx, organisation, ""))
}

// TeamsAfter yields the teams of an organisation whose names come after a name, sorted by name.
//
// Errors: ErrUnknown.
func (a *Accounts) TeamsAfter(ctx context.Context, organisation ID, after string) iter.Seq2[*Team, error] {
	return func(yield func(*Team, error) bool) {
		if _, err := a.organisationNow(ctx, organisation); err != nil {
			yield(nil, err)
			return
		}
		if after != "" {
			after = teamsPrefix(organisation) + after
		}
		ahead(a.keys(ctx, teamsPrefix(organisation), after), func(key string) (*Team, error) {
			t, _, err := get[Team](ctx, a, key)
			return t, err
		})(yield)
	}
}

// TeamOptions are the options of [Accounts.CreateTeam]. nil means the zero TeamOptions.
type TeamOptions struct {
	// Description is for display. It has at most 1,024 bytes. Default: none.
	Description string
	// Grants are the permissions of the members, at most 100. Default: none.
	Grants []Grant
}

// CreateTeam creates a team without members. The name "owners" is reserved. opts may be nil.
//
// Errors: ErrUnknown, ErrInvalid, ErrTaken, ErrLimit, ErrNotified.
func (a *Accounts) CreateTeam(ctx context.Context, by Actor, organisation ID, name string,
	opts *TeamOptions) (*Team, error) {
	c := a.aboutTeam(ctx, "team.create", organisation, name)
	o := options.Value(opts)
	team, err := a.createTeam(ctx, organisation, name, &o)
	if err == nil && opts != nil {
		c.After = showTeam(team)
	}
	return result(team, a.settle(ctx, by, c, true, err))
}

func (a *Accounts) createTeam(ctx context.Context, organisation ID, name string, o *TeamOptions) (*Team, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if skeleton(name) == skeleton(ownersTeam) {
		return nil, fmt.Errorf("%w: the group of the owners has this name", ErrTaken)
	}
	if _, err := a.organisationNow(ctx, organisation); err != nil {
		return nil, err
	}
	team := &Team{ID: newID(), Name: name, Created: a.now().UTC(), Description: o.Description,
		Grants: slices.Clone(o.Grants)}
	if err := checkTeam(team); err != nil {
		return nil, err
	}
	return team, createLimited(ctx, a, teamsPrefix(organisation), name, team, maxTeams)
}

// UpdateTeam changes the description and the grants of a team. The description must have at most 1,024 bytes.
// UpdateTeam calls change again, with the current team, after a conflict with another change, so that no change is
// lost.
//
// Errors: ErrUnknown; ErrInvalid, also for more than 100 grants; ErrNotified; those of change.
func (a *Accounts) UpdateTeam(ctx context.Context, by Actor, organisation ID, name string,
	change func(*Team) error) (*Team, error) {
	c := a.aboutTeam(ctx, "team.update", organisation, name)
	changed := false
	update := func(t *Team) error {
		if err := by.checkTeam(t); err != nil {
			return err
		}
		before := *t
		before.Grants = slices.Clone(t.Grants)
		if err := change(t); err != nil {
			return err
		}
		if t.ID != before.ID || t.Name != before.Name || !t.Created.Equal(before.Created) {
			return fmt.Errorf("%w: only the description and the grants of a team can be changed", ErrInvalid)
		}
		changed = t.Description != before.Description || !slices.Equal(t.Grants, before.Grants)
		if !changed {
			return errUnchanged
		}
		c.Before, c.After = showTeam(&before), showTeam(t)
		return checkTeam(t)
	}
	team, err := a.updateTeam(ctx, organisation, name, update)
	return result(team, a.settle(ctx, by, c, changed, err))
}

// checkTeam checks what a team can be given.
//
// Errors: ErrInvalid.
func checkTeam(t *Team) error {
	if len(t.Description) > maxTeamText || !plain(t.Description) {
		return fmt.Errorf("%w: the description must be at most %d bytes of printable text", ErrInvalid, maxTeamText)
	}
	return checkGrants(t.Grants)
}

func (a *Accounts) updateTeam(ctx context.Context, organisation ID, name string,
	change func(*Team) error) (*Team, error) {
	if !validName(name) {
		return nil, ErrUnknown
	}
	if _, err := a.organisationNow(ctx, organisation); err != nil {
		return nil, err
	}
	return update(ctx, a, teamKey(organisation, name), change)
}

// RemoveTeam removes a team. Its members stay in the organisation.
//
// Errors: ErrUnknown, ErrNotified.
func (a *Accounts) RemoveTeam(ctx context.Context, by Actor, organisation ID, name string) error {
	c := a.aboutTeam(ctx, "team.remove", organisation, name)
	return a.settle(ctx, by, c, true, a.removeTeam(ctx, by, organisation, name))
}

// removeTeam removes the team that has the name now, and not a team that is created under the name meanwhile.
func (a *Accounts) removeTeam(ctx context.Context, by Actor, organisation ID, name string) error {
	first, err := a.teamNow(ctx, organisation, name)
	if err != nil {
		return err
	}
	key := teamKey(organisation, name)
	for n := 0; ; n++ {
		team, version, err := get[Team](ctx, a, key)
		if errors.Is(err, ErrUnknown) || err == nil && team.ID != first.ID {
			return nil
		}
		if err == nil {
			err = by.checkTeam(team)
		}
		if err != nil {
			return err
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

// JoinTeam adds an active user to a team. The user also becomes a member of the organisation. Adding a member of the
// team again does nothing.
//
// Errors: ErrUnknown, ErrLimit (100 teams of a member, 1,000 organisations of a user), ErrNotified.
func (a *Accounts) JoinTeam(ctx context.Context, by Actor, organisation ID, team string, user ID) error {
	c := a.aboutTeam(ctx, "team.join", organisation, team)
	c.Member = a.nameOf(ctx, user)
	t, err := a.teamNow(ctx, organisation, team)
	changed := false
	if err == nil {
		changed, err = a.addMember(ctx, organisation, user, func(m *membership) error {
			return a.join(ctx, organisation, m, teamRef{t.Name, t.ID})
		})
	}
	return a.settle(ctx, by, c, changed, err)
}

// join adds a team to a membership. At the maximum, it first drops teams that were removed.
//
// Errors: ErrLimit, errUnchanged; those of the Driver.
func (a *Accounts) join(ctx context.Context, organisation ID, m *membership, ref teamRef) error {
	if slices.Contains(m.Teams, ref) {
		return errUnchanged
	}
	m.Teams = slices.DeleteFunc(m.Teams, func(old teamRef) bool { return old.Name == ref.Name })
	if len(m.Teams) >= maxMemberTeams {
		kept := m.Teams[:0]
		for _, old := range m.Teams {
			t, _, err := get[Team](ctx, a, teamKey(organisation, old.Name))
			if ignore(err, ErrUnknown) != nil {
				return err
			}
			if err == nil && t.ID == old.ID {
				kept = append(kept, old)
			}
		}
		if m.Teams = kept; len(kept) >= maxMemberTeams {
			return fmt.Errorf("%w: the member is in %d teams", ErrLimit, len(kept))
		}
	}
	m.Teams = append(m.Teams, ref)
	slices.SortFunc(m.Teams, func(a, b teamRef) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// LeaveTeam removes a member from a team. The member stays in the organisation.
//
// Errors: ErrUnknown, also if the member is not in the team; ErrNotified.
func (a *Accounts) LeaveTeam(ctx context.Context, by Actor, organisation ID, team string, user ID) error {
	c := a.aboutTeam(ctx, "team.leave", organisation, team)
	c.Member = a.nameOf(ctx, user)
	return a.settle(ctx, by, c, true, a.leaveTeam(ctx, organisation, team, user))
}

func (a *Accounts) leaveTeam(ctx context.Context, organisation ID, team string, user ID) error {
	t, err := a.teamNow(ctx, organisation, team)
	if err != nil {
		return err
	}
	if !validID(user) {
		return ErrUnknown
	}
	ref := teamRef{t.Name, t.ID}
	_, err = update(ctx, a, memberKey(organisation, user), func(m *membership) error {
		counts, err := a.counts(ctx, organisation, m)
		if err == nil && (!counts || !slices.Contains(m.Teams, ref)) {
			err = ErrUnknown
		}
		m.Teams = slices.DeleteFunc(m.Teams, func(old teamRef) bool { return old == ref })
		return err
	})
	return err
}

// teamNow reads a team from the storage, and does not use the cache.
//
// Errors: ErrUnknown, also for an organisation that was removed; those of the Driver.
func (a *Accounts) teamNow(ctx context.Context, organisation ID, name string) (*Team, error) {
	if !validName(name) {
		return nil, ErrUnknown
	}
	if _, err := a.organisationNow(ctx, organisation); err != nil {
		return nil, err
	}
	t, _, err := get[Team](ctx, a, teamKey(organisation, name))
	return t, err
}

// cachedTeam returns the team that a membership names, from the cache.
//
// Errors: ErrUnknown if the team was removed, even if another one has its name now; those of the Driver.
func (a *Accounts) cachedTeam(ctx context.Context, organisation ID, ref teamRef) (*Team, error) {
	t, err := cached[Team](ctx, a, teamKey(organisation, ref.Name))
	if err == nil && t.ID != ref.ID {
		return nil, ErrUnknown
	}
	return t, err
}

// aboutTeam is about for a team. It leaves out a name that is not valid, because any text could get into the audit.
func (a *Accounts) aboutTeam(ctx context.Context, action string, organisation ID, name string) Change {
	c := a.about(ctx, action, organisation)
	if validName(name) {
		c.Team = name
	}
	return c
}

// tidyOrganisation deletes the teams and memberships of a removed organisation.
func (a *Accounts) tidyOrganisation(ctx context.Context, organisation ID) error {
	if _, err := a.organisationNow(ctx, organisation); !errors.Is(err, ErrUnknown) || !validID(organisation) {
		return err
	}
	for _, p := range []string{teamsPrefix(organisation), membersPrefix(organisation)} {
		for key, err := range a.keys(ctx, p, "") {
			if err == nil {
				err = a.drop(ctx, key)
			}
			if err == nil && p == membersPrefix(organisation) {
				user := ID(strings.TrimPrefix(key, p))
				err = a.drop(ctx, hintKey(user, organisation))
				a.facts.forget(hintsPrefix(user))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
