package main

import (
	"context"
	"fmt"
	"io"

	"github.com/registrykit/registry/auth/accounts"
)

// byNamespace is the visibility of a repository for which none is set.
const byNamespace = "default"

// repositoryCommands returns the commands for the visibility of repositories.
func repositoryCommands() []entry {
	return []entry{
		accountEntry("visibility set", "REPOSITORY public|private|default",
			"sets who may pull from a repository: everybody, or callers with a role; default is what its namespace says",
			&account{do: func(ctx context.Context, s *session) error {
				v := accounts.Visibility(s.args[1])
				switch s.args[1] {
				case string(accounts.Public), string(accounts.Private):
				case byNamespace:
					v = ""
				default:
					return misusef("%s: must be public, private or default", s.args[1])
				}
				if _, err := s.Repository(ctx, s.args[0]); err != nil {
					return err
				}
				return s.change(nil, fmt.Sprintf("the visibility of %s is %s", s.args[0], s.args[1]), func() error {
					_, err := s.UpdateRepository(ctx, s.by, s.args[0], func(r *accounts.Repository) error {
						r.Visibility = v
						return nil
					})
					return err
				})
			}}),
		accountEntry("visibility show", "REPOSITORY", "shows the visibility of a repository", &account{
			do: func(ctx context.Context, s *session) error {
				r, err := s.Repository(ctx, s.args[0])
				if err != nil {
					return err
				}
				return s.p.result(r, func(w io.Writer) {
					v := string(r.Visibility)
					if v == "" {
						v = byNamespace
					}
					fmt.Fprintf(w, "%s: %s\n", s.args[0], v)
				})
			}}),
	}
}
