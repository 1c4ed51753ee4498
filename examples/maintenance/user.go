package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/registrykit/registry/auth/accounts"
)

// profile holds the flags for the profile of a user or organisation.
type profile struct {
	opts       accounts.UserOptions
	visibility string
}

func (c *profile) flags(f *flag.FlagSet) {
	f.StringVar(&c.opts.FullName, "full-name", "", "Set the full `name`, a text for people. Default: none.")
	f.StringVar(&c.opts.Email, "email", "", "Set the email `address`, a text for people. Default: none.")
	f.StringVar(&c.visibility, "visibility", string(accounts.Private),
		"Set the `visibility` of repositories for which none was set: private or public.")
}

// options returns the options for a new account.
func (c *profile) options() (*accounts.UserOptions, error) {
	switch c.opts.Visibility = accounts.Visibility(c.visibility); c.opts.Visibility {
	case accounts.Private, accounts.Public:
		return &c.opts, nil
	}
	return nil, misusef("-visibility %s: must be private or public", c.visibility)
}

func userCommands() []entry {
	own, in, all := &profile{}, &passwordSource{}, &lister{kind: accounts.User}
	return append([]entry{
		accountEntry("user add", "NAME", "makes a user", &account{
			more: func(f *flag.FlagSet) { own.flags(f); in.flags(f); in.noneFlag(f) },
			do: func(ctx context.Context, s *session) error {
				opts, err := own.options()
				if err != nil {
					return err
				}
				password, err := s.newPassword(in, s.args[0])
				if err != nil {
					return err
				}
				return s.created("user", func() (*accounts.Account, error) {
					return s.CreateUser(ctx, s.by, s.args[0], password, opts)
				})
			}}),
		accountEntry("user list", "", "lists the users", &account{more: all.flags, do: all.list}),
		accountEntry("user password", "NAME", "sets the password of a user", setPassword()),
	}, accountActions(accounts.User, "user")...)
}

// created creates an account by do, unless this is a dry run, and prints it.
func (s *session) created(kind string, do func() (*accounts.Account, error)) error {
	made := &accounts.Account{Name: s.args[0]}
	return s.change(made, kind+" "+s.args[0]+" was made", func() error {
		a, err := do()
		if a != nil {
			*made = *a
		}
		return err
	})
}

// lister lists the accounts of a kind.
type lister struct {
	kind  accounts.Kind
	after string
	limit int
}

func (c *lister) flags(f *flag.FlagSet) {
	f.StringVar(&c.after, "after", "", "Begin after this `name`. Default: with the first.")
	f.IntVar(&c.limit, "limit", 0, "List at most this `number`. 0: all.")
}

func (c *lister) list(ctx context.Context, s *session) error {
	all := []*accounts.Account{}
	for a, err := range s.List(ctx, c.after) {
		if err != nil {
			return err
		}
		if a.Kind == c.kind {
			all = append(all, a)
		}
		if c.limit > 0 && len(all) == c.limit {
			break
		}
	}
	return s.p.result(all, func(w io.Writer) { writeAccounts(w, all) })
}

// writeAccounts writes a table.
func writeAccounts(w io.Writer, all []*accounts.Account) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NAME\tID\tSTATE\tCREATED\tFULL NAME\tEMAIL")
	for _, a := range all {
		state := "active"
		if !a.Active() {
			state = "disabled"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%q\t%q\n", a.Name, a.ID, state, a.Created.Format(time.RFC3339), a.FullName, a.Email)
	}
	_ = t.Flush() // a closed pipe ends the program anyway
}
