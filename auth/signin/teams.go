package signin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth/accounts"
)

// ownersTeam is the name of the group of the owners of an organisation.
const ownersTeam = "owners"

// setTeams makes an account have exactly those of the mapped teams whose groups it is in. What the
// configuration names and does not exist goes to Options.Error: people can sign in nevertheless. A
// failure of the storage ends the sign-in, because the user could otherwise keep a team.
func (h *Handler) setTeams(ctx context.Context, p *provider, account *accounts.Account, groups map[string]bool) error {
	wanted := map[string]bool{} // by team; "" is the admins
	for _, m := range p.Teams {
		wanted[m.Team] = wanted[m.Team] || groups[m.Group]
	}
	inside := map[string]bool{} // organisations of which the user is a member by a mapping
	for team, want := range wanted {
		org, _, _ := strings.Cut(team, "/")
		inside[org] = inside[org] || want
	}
	t := teamSetter{people: h.people, user: account.ID, by: accounts.Actor{Reason: "sign-in at " + p.Name}}
	var teams []string
	for team := range wanted {
		teams = append(teams, team)
	}
	slices.Sort(teams)
	for _, team := range teams {
		want := wanted[team]
		if team != "" && !strings.Contains(team, "/") {
			want = inside[team]
		}
		err := t.set(ctx, team, want)
		if err == nil || errors.Is(err, accounts.ErrNotified) {
			continue
		}
		err = fmt.Errorf("signin: provider %s: the team %q of %s: %w", p.Name, team, account.Name, err)
		if !errors.Is(err, accounts.ErrLast) && !errors.Is(err, accounts.ErrLimit) && !errors.Is(err, errNoTeam) {
			return err
		}
		h.opts.Error(ctx, err)
	}
	return nil
}

// errNoTeam is returned for a mapping whose organisation or team does not exist.
var errNoTeam = errors.New("it does not exist")

// teamSetter sets the teams of a user.
type teamSetter struct {
	people People
	user   accounts.ID
	by     accounts.Actor
}

// set adds the user to a team or removes the user from it.
//
// Errors: errNoTeam, accounts.ErrLast, accounts.ErrLimit; others of the accounts.
func (t *teamSetter) set(ctx context.Context, team string, want bool) error {
	if team == "" {
		return t.setAdmin(ctx, want)
	}
	name, part, _ := strings.Cut(team, "/")
	org, err := t.people.Lookup(ctx, name)
	switch {
	case errors.Is(err, accounts.ErrUnknown):
		return errNoTeam
	case err != nil:
		return err
	case org.Kind != accounts.Organisation || org.Name != name:
		return errNoTeam
	}
	switch {
	case part == "" && want:
		err = t.people.AddMember(ctx, t.by, org.ID, t.user)
	case part == "":
		err = t.people.RemoveMember(ctx, t.by, org.ID, t.user)
	case part == ownersTeam && want:
		err = t.people.AddOwner(ctx, t.by, org.ID, t.user)
	case part == ownersTeam:
		err = t.people.RemoveOwner(ctx, t.by, org.ID, t.user)
	case want:
		err = t.people.JoinTeam(ctx, t.by, org.ID, part, t.user)
	default:
		err = t.people.LeaveTeam(ctx, t.by, org.ID, part, t.user)
	}
	if errors.Is(err, accounts.ErrUnknown) {
		if err = nil; want {
			err = errNoTeam
		}
	}
	return err
}

// setAdmin makes the user an admin or an ordinary user.
func (t *teamSetter) setAdmin(ctx context.Context, want bool) error {
	admins, err := t.people.Admins(ctx)
	switch is := slices.Contains(admins, t.user); {
	case err != nil || is == want:
		return err
	case want:
		return t.people.AddAdmin(ctx, t.by, t.user)
	}
	err = t.people.RemoveAdmin(ctx, t.by, t.user)
	if errors.Is(err, accounts.ErrUnknown) {
		return nil
	}
	return err
}
