package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/registrykit/registry/auth/accounts"
)

// accountActions returns the commands that users, organisations and robots have in common. word is the kind in
// the names of commands.
func accountActions(kind accounts.Kind, word string) []entry {
	act := func(verb, done, does string, do func(ctx context.Context, s *session, id accounts.ID) error) entry {
		return accountEntry(word+" "+verb, "NAME", does, &account{do: func(ctx context.Context, s *session) error {
			a, err := s.find(ctx, s.args[0], kind)
			if err != nil {
				return err
			}
			return s.change(nil, fmt.Sprintf("%s %s was %s", word, a.Name, done), func() error { return do(ctx, s, a.ID) })
		}})
	}
	all := []entry{
		accountEntry(word+" show", "NAME", "shows "+article(word), &account{do: func(ctx context.Context, s *session) error {
			return s.show(ctx, kind)
		}}),
		act("disable", "disabled", "disables "+article(word)+"; "+whileDisabled(kind)+" no rights until it is enabled",
			func(ctx context.Context, s *session, id accounts.ID) error {
				_, err := s.Disable(ctx, s.by, id)
				return err
			}),
		act("enable", "enabled", "enables "+article(word)+" again",
			func(ctx context.Context, s *session, id accounts.ID) error {
				_, err := s.Enable(ctx, s.by, id)
				return err
			}),
		act("remove", "removed", "removes "+article(word)+" for ever; its repositories stay",
			func(ctx context.Context, s *session, id accounts.ID) error { return s.Remove(ctx, s.by, id) }),
	}
	if kind == accounts.Robot {
		return all
	}
	return append(all, renameCommand(kind, word), releaseCommand(kind, word), profileCommand(kind, word))
}

// article returns a kind with its article.
func article(word string) string {
	switch word {
	case "org", "organisation":
		return "an organisation"
	case "user":
		return "a user"
	}
	return "a " + word
}

// whileDisabled says what has no rights while an account is disabled.
func whileDisabled(kind accounts.Kind) string {
	if kind == accounts.Organisation {
		return "its robots have"
	}
	return "its logins, tokens and robots have"
}

func renameCommand(kind accounts.Kind, word string) entry {
	return accountEntry(word+" rename", "NAME NEW-NAME", "renames "+article(word)+"; its repositories keep their names",
		&account{do: func(ctx context.Context, s *session) error {
			a, err := s.find(ctx, s.args[0], kind)
			if err != nil {
				return err
			}
			return s.change(nil, fmt.Sprintf("%s %s is now called %s", word, a.Name, s.args[1]), func() error {
				_, err := s.Rename(ctx, s.by, a.ID, s.args[1])
				return err
			})
		}})
}

func releaseCommand(kind accounts.Kind, word string) entry {
	return accountEntry(word+" release", "NAME FORMER-NAME", "gives up a former name of "+article(word),
		&account{do: func(ctx context.Context, s *session) error {
			a, err := s.find(ctx, s.args[0], kind)
			if err != nil {
				return err
			}
			return s.change(nil, fmt.Sprintf("%s %s has given up the name %s", word, a.Name, s.args[1]), func() error {
				_, err := s.Release(ctx, s.by, a.ID, s.args[1])
				return err
			})
		}})
}

func profileCommand(kind accounts.Kind, word string) entry {
	own := &profile{}
	var set *flag.FlagSet
	return accountEntry(word+" profile", "NAME", "changes the profile of "+article(word)+" as the flags say", &account{
		more: func(f *flag.FlagSet) { own.flags(f); set = f },
		do: func(ctx context.Context, s *session) error {
			opts, err := own.options()
			if err != nil {
				return err
			}
			a, err := s.find(ctx, s.args[0], kind)
			if err != nil {
				return err
			}
			return s.change(nil, fmt.Sprintf("%s %s was changed", word, a.Name), func() error {
				_, err := s.Update(ctx, s.by, a.ID, func(p *accounts.Profile) error {
					set.Visit(func(f *flag.Flag) {
						switch f.Name {
						case "full-name":
							p.FullName = opts.FullName
						case "email":
							p.Email = opts.Email
						case "visibility":
							p.Visibility = opts.Visibility
						}
					})
					return nil
				})
				return err
			})
		}})
}

// shown is an account with what belongs to it.
type shown struct {
	*accounts.Account
	Admin  bool     `json:"admin,omitempty"`
	Groups []string `json:"groups,omitempty"`
}

// show shows an account.
func (s *session) show(ctx context.Context, kind accounts.Kind) error {
	a, err := s.find(ctx, s.args[0], kind)
	if err != nil {
		return err
	}
	v := shown{Account: a}
	if kind == accounts.User {
		var aerr, gerr error
		v.Admin, aerr = s.IsAdmin(ctx, a.ID)
		v.Groups, gerr = s.Groups(ctx, a.ID)
		if err := errors.Join(aerr, gerr); err != nil {
			return err
		}
	}
	return s.p.result(v, func(w io.Writer) {
		writeAccounts(w, []*accounts.Account{a})
		for _, row := range []struct {
			name   string
			values []string
		}{{"former names", a.Former}, {"groups", v.Groups}, {"grants", grantTexts(a.Grants)}} {
			if len(row.values) > 0 {
				fmt.Fprintf(w, "%s: %s\n", row.name, strings.Join(row.values, ", "))
			}
		}
		if v.Admin {
			fmt.Fprintln(w, "admin of the registry")
		}
	})
}
