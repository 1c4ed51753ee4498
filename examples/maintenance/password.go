package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/registrykit/registry/auth/accounts"
)

// maxSecret is the maximum size of a file with a password or token, in bytes.
const maxSecret = 4096

// passwordSource holds the flags for the source of a password. A password is never the value of a flag, because other
// users of the machine can see flags.
type passwordSource struct {
	file string
	none bool
}

func (c *passwordSource) flags(f *flag.FlagSet) {
	f.StringVar(&c.file, "password-file", "-",
		"Read the password from this `file`, without the line break at its end. -: standard input, or the terminal.")
}

// noneFlag registers a flag for no password.
func (c *passwordSource) noneFlag(f *flag.FlagSet) {
	f.BoolVar(&c.none, "no-password", false, "Set no password: the user logs in with tokens only. Default: false.")
}

// read returns the password, or "".
func (c *passwordSource) read(p *program) (string, error) {
	if c.none {
		return "", nil
	}
	password, err := secretFrom(p, c.file, "Password: ")
	if err == nil && password == "" {
		return "", misusef("the password is empty")
	}
	return password, err
}

// secretFrom reads a password or token from a file, or from standard input. On a terminal, it asks for it.
func secretFrom(p *program, file, question string) (string, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", misuse{err}
		}
		defer func() { _ = f.Close() }() // it was only read
		return secretIn(f)
	}
	if f, ok := p.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(p.errs, question)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(p.errs)
		return string(b), err
	}
	return secretIn(p.in)
}

// secretIn returns the content of r without a line break at its end.
func secretIn(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSecret+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxSecret {
		return "", misuse{errors.New("the password or token is too long")}
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}

// newPassword reads a new password for a user, and checks it. It may be "", which means no password.
func (s *session) newPassword(in *passwordSource, name string) (string, error) {
	password, err := in.read(s.p)
	if err != nil || password == "" {
		return "", err
	}
	if s.own == nil {
		return password, nil // the hub checks it
	}
	return password, s.own.CheckNewPassword(name, password)
}

// setPassword returns the command that sets a password.
func setPassword() *account {
	in := &passwordSource{}
	return &account{
		more: func(f *flag.FlagSet) { in.flags(f); in.noneFlag(f) },
		do: func(ctx context.Context, s *session) error {
			a, err := s.find(ctx, s.args[0], accounts.User)
			if err != nil {
				return err
			}
			password, err := s.newPassword(in, a.Name)
			if err != nil {
				return err
			}
			return s.change(nil, "the password of "+a.Name+" was set", func() error {
				return s.SetPassword(ctx, s.by, a.ID, password)
			})
		}}
}
