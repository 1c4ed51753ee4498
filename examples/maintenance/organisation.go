package main

import (
	"context"
	"flag"

	"github.com/registrykit/registry/auth/accounts"
)

func organisationCommands() []entry {
	own, owner, all := &profile{}, "", &lister{kind: accounts.Organisation}
	return append([]entry{
		accountEntry("org add", "NAME", "makes an organisation", &account{
			more: func(f *flag.FlagSet) {
				own.flags(f)
				f.StringVar(&owner, "owner", "", "Make this `user` its owner. Required.")
			},
			do: func(ctx context.Context, s *session) error {
				opts, err := own.options()
				if err != nil {
					return err
				}
				if owner == "" {
					return misusef("-owner is required")
				}
				u, err := s.find(ctx, owner, accounts.User)
				if err != nil {
					return err
				}
				return s.created("organisation", func() (*accounts.Account, error) {
					return s.CreateOrganisation(ctx, s.by, s.args[0], u.ID, opts)
				})
			}}),
		accountEntry("org list", "", "lists the organisations", &account{more: all.flags, do: all.list}),
	}, accountActions(accounts.Organisation, "org")...)
}
