package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/registrykit/registry/auth/accounts"
)

// teamChange is a change of a team of an organisation.
type teamChange func(ctx context.Context, s *session, org *accounts.Account) error

// teamEntry returns a command that changes a team.
func teamEntry(name, more, does, done string, do teamChange) entry {
	return accountEntry(name, strings.TrimSpace("ORG TEAM "+more), does, &account{
		do: func(ctx context.Context, s *session) error {
			org, err := s.find(ctx, s.args[0], accounts.Organisation)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("team %s/%s %s", org.Name, s.args[1], done)
			return s.change(nil, strings.Join(append([]string{what}, s.args[2:]...), " "), func() error {
				return known(do(ctx, s, org), "there is no team %s in %s", s.args[1], org.Name)
			})
		}})
}

func teamCommands() []entry {
	return []entry{
		teamEntry("team add", "", "makes a team", "was made",
			func(ctx context.Context, s *session, org *accounts.Account) error {
				_, err := s.CreateTeam(ctx, s.by, org.ID, s.args[1], nil)
				return err
			}),
		teamEntry("team remove", "", "removes a team; its members stay in the organisation", "was removed",
			func(ctx context.Context, s *session, org *accounts.Account) error {
				return s.RemoveTeam(ctx, s.by, org.ID, s.args[1])
			}),
		teamEntry("team grant", "ROLE PATTERN", "gives a team a role in repositories of the organisation", "has the role",
			func(ctx context.Context, s *session, org *accounts.Account) error {
				g := accounts.Grant{Role: accounts.Role(s.args[2]), Repositories: s.args[3]}
				return s.regrant(ctx, org, g.Repositories, g)
			}),
		teamEntry("team revoke", "PATTERN", "takes the role of a pattern from a team", "has no longer a role in",
			func(ctx context.Context, s *session, org *accounts.Account) error {
				return s.regrant(ctx, org, s.args[2])
			}),
		teamEntry("team join", "USER", "puts a user into a team", "has the member",
			func(ctx context.Context, s *session, org *accounts.Account) error {
				user, err := s.find(ctx, s.args[2], accounts.User)
				if err != nil {
					return err
				}
				if !user.Active() {
					return misusef("%s is not active", user.Name)
				}
				return s.JoinTeam(ctx, s.by, org.ID, s.args[1], user.ID)
			}),
		teamEntry("team leave", "USER", "takes a user out of a team", "has no longer the member",
			func(ctx context.Context, s *session, org *accounts.Account) error {
				user, err := s.find(ctx, s.args[2], accounts.User)
				if err != nil {
					return err
				}
				return known(s.LeaveTeam(ctx, s.by, org.ID, s.args[1], user.ID), "%s is in no team %s of %s", user.Name,
					s.args[1], org.Name)
			}),
		accountEntry("team list", "ORG", "lists the teams of an organisation, with their grants", &account{do: listTeams}),
	}
}

// regrant replaces the grant of a pattern by others.
func (s *session) regrant(ctx context.Context, org *accounts.Account, pattern string, by ...accounts.Grant) error {
	_, err := s.UpdateTeam(ctx, s.by, org.ID, s.args[1], func(t *accounts.Team) error {
		i := slices.IndexFunc(t.Grants, func(g accounts.Grant) bool { return g.Repositories == pattern })
		switch {
		case i >= 0:
			t.Grants = slices.Replace(slices.Clone(t.Grants), i, i+1, by...)
		case len(by) == 0:
			return misusef("the team has no role in %q", pattern)
		default:
			t.Grants = append(slices.Clone(t.Grants), by...)
		}
		return nil
	})
	return err
}

func listTeams(ctx context.Context, s *session) error {
	org, err := s.find(ctx, s.args[0], accounts.Organisation)
	if err != nil {
		return err
	}
	teams, err := s.Teams(ctx, org.ID)
	if err != nil {
		return err
	}
	return s.p.result(teams, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tGRANTS\tDESCRIPTION")
		for _, team := range teams {
			fmt.Fprintf(t, "%s\t%s\t%q\n", team.Name, strings.Join(grantTexts(team.Grants), " "), team.Description)
		}
		_ = t.Flush() // a closed pipe ends the program anyway
	})
}
