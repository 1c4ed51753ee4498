package main

import (
	"context"
	"errors"
	"flag"
	"io"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

func setupCommands() []entry {
	in, tokenFile := &passwordSource{}, ""
	return append([]entry{
		accountEntry("setup", "NAME", "makes the first admin", &account{create: true,
			more: func(f *flag.FlagSet) {
				in.flags(f)
				f.StringVar(&tokenFile, "token-file", "",
					"Read the setup token from this `file`, or from standard input if it is \"-\"; the password is then the next "+
						"line. Default: a new one, which replaces the token that a server has printed.")
			},
			do: func(ctx context.Context, s *session) error { return s.setUp(ctx, in, tokenFile) },
		}),
	}, adminCommands()...)
}

// setUp makes the first admin.
func (s *session) setUp(ctx context.Context, in *passwordSource, tokenFile string) error {
	token, err := s.setupToken(ctx, tokenFile)
	if err != nil {
		return err
	}
	password, err := s.newPassword(in, s.args[0])
	if err != nil {
		return err
	}
	return s.created("admin", func() (*accounts.Account, error) {
		if s.hub != nil {
			u, err := s.hub.SetUp(ctx, types.Setup{Token: token.Value(), Name: s.args[0], Password: password})
			return userOf(u), translate(err)
		}
		return s.own.SetUp(ctx, token, s.args[0], password)
	})
}

// setupToken returns the token from a file, or a new one.
func (s *session) setupToken(ctx context.Context, file string) (auth.Secret, error) {
	switch {
	case file == "-":
		line, err := firstLine(s.p.in)
		return auth.Secret(line), err
	case file != "":
		text, err := secretFrom(s.p, file, "")
		return auth.Secret(text), err
	case s.p.dryRun:
		return "", nil
	case s.own == nil:
		return "", misusef("-token-file is required: the hub has shown the token at its start")
	}
	token, err := s.own.SetupToken(ctx)
	if err == nil && token == "" {
		err = ruled{errors.New("there is an admin already: make others with accounts user add and accounts admin add")}
	}
	return token, err
}

// firstLine reads a line byte by byte, so that the rest can be read by others.
func firstLine(r io.Reader) (string, error) {
	var line []byte
	b := make([]byte, 1)
	for len(line) <= maxSecret {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' || err == io.EOF {
			return string(line), nil
		}
		if err != nil {
			return "", err
		}
		line = append(line, b[:n]...)
	}
	return "", misusef("the setup token is too long")
}

// adminCommands returns the commands for the admins of the registry.
func adminCommands() []entry {
	return []entry{
		accountEntry("admin add", "USER", "makes a user an admin of the registry", &account{
			do: func(ctx context.Context, s *session) error {
				a, err := s.find(ctx, s.args[0], accounts.User)
				if err != nil {
					return err
				}
				return s.change(nil, a.Name+" is an admin", func() error { return s.AddAdmin(ctx, s.by, a.ID) })
			}}),
		accountEntry("admin remove", "USER", "makes an admin an ordinary user", &account{
			do: func(ctx context.Context, s *session) error {
				a, err := s.find(ctx, s.args[0], accounts.User)
				if err != nil {
					return err
				}
				return s.change(nil, a.Name+" is no admin any more", func() error {
					return known(s.RemoveAdmin(ctx, s.by, a.ID), "%s is no admin", a.Name)
				})
			}}),
		accountEntry("admin list", "", "lists the admins of the registry", &account{
			do: func(ctx context.Context, s *session) error {
				ids, err := s.Admins(ctx)
				if err != nil {
					return err
				}
				return s.listAccounts(ctx, ids)
			}}),
	}
}

// listAccounts shows accounts by their IDs.
func (s *session) listAccounts(ctx context.Context, ids []accounts.ID) error {
	all := make([]*accounts.Account, len(ids))
	for i, id := range ids {
		a, err := s.Account(ctx, id)
		if err != nil {
			return err
		}
		all[i] = a
	}
	return s.p.result(all, func(w io.Writer) { writeAccounts(w, all) })
}
