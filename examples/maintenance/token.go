package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/duration"
)

// defaultTokenGrace is the default of token rotate -grace.
const defaultTokenGrace = 24 * time.Hour

// lifetime registers a flag for a duration, such as 90d.
func lifetime(f *flag.FlagSet, to *time.Duration, name, usage string) {
	f.Func(name, usage, func(text string) (err error) {
		*to, err = duration.Parse(text)
		return err
	})
}

// unlisted is the error for a token that does not exist.
const unlisted = "%s has no token with the ID %q; accounts token list shows them"

// tokenCommands returns the commands for the secrets of users and robots.
func tokenCommands() []entry {
	var expires time.Duration
	var scopes []accounts.Grant
	grace := defaultTokenGrace
	return []entry{
		accountEntry("token add", "OWNER TOKEN-NAME", "makes a token of a user or robot, and prints it once", &account{
			more: func(f *flag.FlagSet) {
				lifetime(f, &expires, "expires", "End the token after this `time`, such as 90d. Default: never.")
				grantFlag(f, &scopes, "scope", "Narrow what the owner may do, with whole names of repositories, to")
			},
			do: func(ctx context.Context, s *session) error {
				a, err := s.find(ctx, s.args[0], accounts.User, accounts.Robot)
				if err != nil {
					return err
				}
				opts := &accounts.SecretOptions{Scopes: scopes}
				if expires > 0 {
					opts.Expires = time.Now().Add(expires)
				}
				return s.newSecret(a, func() (accounts.NewSecret, error) {
					return s.CreateSecret(ctx, s.by, a.ID, s.args[1], opts)
				})
			}}),
		accountEntry("token rotate", "OWNER TOKEN-ID", "makes a token that replaces another, and prints it once", &account{
			more: func(f *flag.FlagSet) {
				lifetime(f, &grace, "grace", "Keep the old token valid for this `time`, such as 12h. (default 24h)")
			},
			do: func(ctx context.Context, s *session) error {
				a, err := s.find(ctx, s.args[0], accounts.User, accounts.Robot)
				if err != nil {
					return err
				}
				return s.newSecret(a, func() (accounts.NewSecret, error) {
					made, err := s.RotateSecret(ctx, s.by, a.ID, s.args[1], grace)
					return made, known(err, unlisted, a.Name, s.args[1])
				})
			}}),
		accountEntry("token revoke", "OWNER TOKEN-ID", "removes a token", &account{
			do: func(ctx context.Context, s *session) error {
				a, err := s.find(ctx, s.args[0], accounts.User, accounts.Robot)
				if err != nil {
					return err
				}
				return s.change(nil, "token "+s.args[1]+" of "+a.Name+" was removed", func() error {
					return known(s.RevokeSecret(ctx, s.by, a.ID, s.args[1]), unlisted, a.Name, s.args[1])
				})
			}}),
		accountEntry("token list", "OWNER", "lists the tokens of a user or robot, without the tokens themselves",
			&account{do: listTokens}),
	}
}

// shownToken is a secret without its hash. Value is set only for a new secret.
type shownToken struct {
	ID       string    `json:"id"`
	Owner    string    `json:"owner"`
	Name     string    `json:"name"`
	Value    string    `json:"value,omitempty"`
	Created  time.Time `json:"created"`
	Expires  time.Time `json:"expires,omitzero"`
	Rotated  string    `json:"rotated,omitempty"`
	LastUsed time.Time `json:"lastUsed,omitzero"`
	Scopes   []string  `json:"scopes,omitempty"`
}

func showToken(owner string, s *accounts.Secret) shownToken {
	return shownToken{ID: s.ID, Owner: owner, Name: s.Name, Created: s.Created, Expires: s.Expires, Rotated: s.Rotated,
		LastUsed: s.LastUsed, Scopes: grantTexts(s.Scopes)}
}

// newSecret creates a secret, unless this is a dry run. It prints the value alone to standard output, so that a script
// can redirect it to a file, and everything else to standard error.
func (s *session) newSecret(owner *accounts.Account, do func() (accounts.NewSecret, error)) error {
	if s.p.dryRun {
		return s.change(nil, "a token of "+owner.Name+" would be made", nil)
	}
	made, err := do()
	if err != nil && !errors.Is(err, accounts.ErrNotified) {
		return err
	}
	v := showToken(owner.Name, &made.Secret)
	v.Value = made.Value.Value()
	if !s.p.asJSON && !s.p.quiet {
		fmt.Fprintf(s.p.errs, "token %s of %s, %s; it is shown only now:\n", v.ID, v.Owner, ending(v.Expires))
	}
	return errors.Join(err, s.p.result(v, func(w io.Writer) { fmt.Fprintln(w, v.Value) }))
}

// ending returns a text about the expiry of a token.
func ending(t time.Time) string {
	if t.IsZero() {
		return "never expires"
	}
	return "expires at " + t.Format(time.RFC3339)
}

func listTokens(ctx context.Context, s *session) error {
	a, err := s.find(ctx, s.args[0], accounts.User, accounts.Robot)
	if err != nil {
		return err
	}
	all := []shownToken{}
	for secret, err := range s.Secrets(ctx, a.ID) {
		if err != nil {
			return err
		}
		all = append(all, showToken(a.Name, secret))
	}
	return s.p.result(all, func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "ID\tNAME\tCREATED\tEXPIRES\tLAST USED\tSCOPES")
		for _, v := range all {
			fmt.Fprintf(t, "%s\t%q\t%s\t%s\t%s\t%s\n", v.ID, v.Name, v.Created.Format(time.RFC3339), orNever(v.Expires),
				orNever(v.LastUsed), strings.Join(v.Scopes, " "))
		}
		_ = t.Flush() // a closed pipe ends the program anyway
	})
}

// orNever returns a time as text, or "-" for the zero Time.
func orNever(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}
