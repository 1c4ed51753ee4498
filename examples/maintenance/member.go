package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/registrykit/registry/auth/accounts"
)

// pair is a change of an organisation and a user.
type pair func(ctx context.Context, by accounts.Actor, organisation, user accounts.ID) error

// pairEntry returns a command that changes what a user is in an organisation. not is what a user is not if the change
// is impossible.
func pairEntry(name, does, done, not string, do func(s *session) pair) entry {
	return accountEntry(name, "ORG USER", does, &account{do: func(ctx context.Context, s *session) error {
		org, user, err := s.orgAndUser(ctx, s.args[0], s.args[1])
		if err != nil {
			return err
		}
		return s.change(nil, fmt.Sprintf("%s %s %s", user.Name, done, org.Name), func() error {
			return known(do(s)(ctx, s.by, org.ID, user.ID), "%s is no %s of %s", user.Name, not, org.Name)
		})
	}})
}

// orgAndUser returns an organisation and a user.
func (s *session) orgAndUser(ctx context.Context, org, user string) (o, u *accounts.Account, err error) {
	if o, err = s.find(ctx, org, accounts.Organisation); err == nil {
		u, err = s.find(ctx, user, accounts.User)
	}
	return o, u, err
}

// memberCommands returns the commands for owners and members.
func memberCommands() []entry {
	return []entry{
		pairEntry("owner add", "makes a user an owner of an organisation", "is an owner of", "user who can be an owner",
			func(s *session) pair { return s.AddOwner }),
		pairEntry("owner remove", "makes an owner an ordinary member", "is no owner any more of", "owner",
			func(s *session) pair { return s.RemoveOwner }),
		accountEntry("owner list", "ORG", "lists the owners of an organisation", &account{
			do: func(ctx context.Context, s *session) error {
				org, err := s.find(ctx, s.args[0], accounts.Organisation)
				if err != nil {
					return err
				}
				return s.listAccounts(ctx, org.Owners)
			}}),
		pairEntry("member add", "makes a user a member of an organisation", "is a member of", "user who can be a member",
			func(s *session) pair { return s.AddMember }),
		pairEntry("member remove", "ends a membership, also those in teams, and the ownership", "is no member any more of",
			"member", func(s *session) pair { return s.RemoveMember }),
		accountEntry("member list", "ORG", "lists the members of an organisation, with their teams", &account{
			do: listMembers}),
	}
}

// listed is a member with a name.
type listed struct {
	Name string `json:"name"`
	accounts.Member
}

func listMembers(ctx context.Context, s *session) error {
	org, err := s.find(ctx, s.args[0], accounts.Organisation)
	if err != nil {
		return err
	}
	all := []listed{}
	for m, err := range s.Members(ctx, org.ID, "") {
		if err != nil {
			return err
		}
		a, err := s.Account(ctx, m.User)
		if err != nil {
			return err
		}
		all = append(all, listed{a.Name, *m})
	}
	return s.p.result(all, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tSINCE\tOWNER\tTEAMS")
		for _, m := range all {
			fmt.Fprintf(t, "%s\t%s\t%t\t%s\n", m.Name, m.Since.Format(time.RFC3339), m.Owner, strings.Join(m.Teams, " "))
		}
		_ = t.Flush() // a closed pipe ends the program anyway
	})
}
