package accounts

import (
	"context"
	"errors"
	"slices"
)

// Grants implements [Directory]. The list is empty for a user who is not active, and for a removed organisation.
func (a *Accounts) Grants(ctx context.Context, organisation, user ID) ([]Grant, error) {
	if !validID(organisation) || !validID(user) {
		return nil, nil
	}
	return remembered(a, "grants/"+string(organisation)+"/"+string(user), func(r *reader) ([]Grant, error) {
		return r.grants(ctx, organisation, user)
	})
}

func (r *reader) grants(ctx context.Context, organisation, user ID) ([]Grant, error) {
	if active, err := r.isActiveUser(ctx, user); err != nil || !active {
		return nil, err
	}
	// A user without a membership is in no team, and the organisation need not be read.
	if _, err := read[membership](ctx, r, memberKey(organisation, user)); err != nil {
		return nil, ignore(err, ErrUnknown)
	}
	s, err := r.standing(ctx, organisation, user)
	if err != nil {
		return nil, ignore(err, ErrUnknown)
	}
	var grants []Grant
	for _, ref := range s.Teams {
		t, err := r.team(ctx, organisation, ref)
		if ignore(err, ErrUnknown) != nil {
			return nil, err
		}
		if err == nil {
			grants = append(grants, t.Grants...)
		}
	}
	return slices.Clip(grants), nil
}

// Groups implements [Directory]. The groups are sorted. The list is empty for a user who is not active.
func (a *Accounts) Groups(ctx context.Context, user ID) ([]string, error) {
	if !validID(user) {
		return nil, nil
	}
	return remembered(a, "groups/"+string(user), func(r *reader) ([]string, error) { return r.groups(ctx, user) })
}

func (r *reader) groups(ctx context.Context, user ID) ([]string, error) {
	if active, err := r.isActiveUser(ctx, user); err != nil || !active {
		return nil, err
	}
	organisations, err := r.organisations(ctx, user)
	if err != nil {
		return nil, err
	}
	var groups []string
	for _, id := range organisations {
		s, err := r.standing(ctx, id, user)
		if errors.Is(err, ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		groups = append(groups, s.name)
		if s.owner {
			groups = append(groups, s.name+"/"+ownersTeam)
		}
		for _, ref := range s.Teams {
			_, err := r.team(ctx, id, ref)
			if ignore(err, ErrUnknown) != nil {
				return nil, err
			}
			if err == nil {
				groups = append(groups, s.name+"/"+ref.Name)
			}
		}
	}
	slices.Sort(groups)
	return slices.Clip(groups), nil
}

// isActiveUser reports whether an account is an active user.
func (r *reader) isActiveUser(ctx context.Context, id ID) (bool, error) {
	account, err := read[accountRecord](ctx, r, accountKey(id))
	if err != nil {
		return false, ignore(err, ErrUnknown)
	}
	return account.Kind == User && account.Active(), nil
}

// standing is the membership and the ownership of a user in an organisation.
type standing struct {
	membership
	name  string // of the organisation
	owner bool
}

// standing returns the membership and the ownership of a user in an organisation.
//
// Errors: ErrUnknown if the user is not a member, or the organisation was removed; those of the Driver.
func (r *reader) standing(ctx context.Context, organisation, user ID) (standing, error) {
	org, err := read[accountRecord](ctx, r, accountKey(organisation))
	if err != nil {
		return standing{}, err
	}
	if org.Kind != Organisation || org.Removed != nil {
		return standing{}, ErrUnknown
	}
	s := standing{name: org.Name, owner: slices.Contains(org.Owners, user)}
	m, err := read[membership](ctx, r, memberKey(organisation, user))
	switch {
	case errors.Is(err, ErrUnknown) && s.owner:
		return s, nil
	case err != nil:
		return standing{}, err
	case m.OwnerOnly && !s.owner:
		return standing{}, ErrUnknown
	}
	s.membership = *m
	return s, nil
}

// team returns the team that a membership names.
//
// Errors: ErrUnknown if the team was removed, even if another one has its name now; those of the Driver.
func (r *reader) team(ctx context.Context, organisation ID, ref teamRef) (*Team, error) {
	t, err := read[Team](ctx, r, teamKey(organisation, ref.Name))
	if err == nil && t.ID != ref.ID {
		return nil, ErrUnknown
	}
	return t, err
}

// organisations returns the organisations that a user may be a member of.
func (r *reader) organisations(ctx context.Context, user ID) ([]ID, error) {
	key := hintsPrefix(user)
	all, err := noted(r, key, func() (*[]ID, error) {
		return cachedValue(ctx, r.Accounts, key, func(ctx context.Context, _ *[]ID, _ string) (*[]ID, string, error) {
			all := []ID{}
			for id, err := range r.organisationsOf(ctx, user) {
				if err != nil {
					return nil, "", err
				}
				all = append(all, id)
			}
			return &all, "", nil
		})
	})
	if err != nil {
		return nil, err
	}
	return *all, nil
}
