package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/registrykit/registry/auth/accounts"
)

func robotCommands() []entry {
	var first, next []accounts.Grant
	return append([]entry{
		accountEntry("robot add", "NAMESPACE ROBOT", "makes the robot NAMESPACE+ROBOT; token add gives it a token", &account{
			more: func(f *flag.FlagSet) { grantFlag(f, &first, "grant", "Grant") },
			do: func(ctx context.Context, s *session) error {
				owner, err := s.find(ctx, s.args[0], accounts.Organisation, accounts.User)
				if err != nil {
					return err
				}
				name := s.args[1]
				s.args = []string{owner.Name + "+" + name}
				return s.created("robot", func() (*accounts.Account, error) {
					return s.CreateRobot(ctx, s.by, owner.ID, name, first)
				})
			}}),
		accountEntry("robot list", "NAMESPACE", "lists the robots of a user or organisation", &account{do: listRobots}),
		accountEntry("robot grants", "NAMESPACE+ROBOT", "replaces what a robot may do", &account{
			more: func(f *flag.FlagSet) { grantFlag(f, &next, "grant", "Grant") },
			do: func(ctx context.Context, s *session) error {
				a, err := s.find(ctx, s.args[0], accounts.Robot)
				if err != nil {
					return err
				}
				return s.change(nil, "robot "+a.Name+" was changed", func() error {
					_, err := s.UpdateRobot(ctx, s.by, a.ID, next)
					return err
				})
			}}),
	}, accountActions(accounts.Robot, "robot")...)
}

func listRobots(ctx context.Context, s *session) error {
	owner, err := s.find(ctx, s.args[0], accounts.Organisation, accounts.User)
	if err != nil {
		return err
	}
	all := []*accounts.Account{}
	for a, err := range s.Robots(ctx, owner.ID, "") {
		if err != nil {
			return err
		}
		all = append(all, a)
	}
	return s.p.result(all, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "NAME\tACTIVE\tGRANTS")
		for _, a := range all {
			fmt.Fprintf(t, "%s\t%t\t%s\n", a.Name, a.Active(), strings.Join(grantTexts(a.Grants), " "))
		}
		_ = t.Flush() // a closed pipe ends the program anyway
	})
}
