package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/registrykit/registry/auth/accounts"
)

// transferCommands returns the commands for all accounts together.
func transferCommands() []entry {
	replace := false
	return []entry{
		accountEntry("export", "FILE", "writes all accounts as JSON lines, with the hashes of passwords; -: standard output",
			&account{do: export}),
		accountEntry("import", "FILE", "reads an export; -: standard input", &account{create: true,
			more: func(f *flag.FlagSet) {
				f.BoolVar(&replace, "replace", false,
					"Replace what exists and differs. Default: false, the import ends at the first such line.")
			},
			do: func(ctx context.Context, s *session) error { return s.load(ctx, replace) }}),
		accountEntry("tidy", "", "deletes objects that interrupted commands have left behind, to free space", &account{
			do: func(ctx context.Context, s *session) error {
				if s.own == nil {
					return errOnlyStorage
				}
				return s.change(nil, "all accounts were tidied", func() error { return s.own.Tidy(ctx) })
			}}),
	}
}

// export writes all accounts. A file has the mode 0600. If the export fails, there is no file.
func export(ctx context.Context, s *session) (err error) {
	name := s.args[0]
	switch {
	case s.p.dryRun:
		if err := s.Export(ctx, io.Discard); err != nil {
			return err
		}
		return s.change(nil, "all accounts were written to "+name, nil)
	case name == "-":
		s.p.written = true
		return s.Export(ctx, s.p.out)
	}
	file, err := os.CreateTemp(filepath.Dir(name), ".accounts-*") // with the mode 0600
	if err != nil {
		return misuse{err}
	}
	defer func() { _ = os.Remove(file.Name()) }() // it is gone if it was renamed
	if err = s.Export(ctx, file); err == nil {
		err = file.Sync()
	}
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return s.change(nil, "all accounts were written to "+name, func() error { return os.Rename(file.Name(), name) })
}

// load imports accounts.
func (s *session) load(ctx context.Context, replace bool) error {
	from := s.p.in
	if s.args[0] != "-" {
		f, err := os.Open(s.args[0])
		if err != nil {
			return misuse{err}
		}
		defer func() { _ = f.Close() }() // it was only read
		from = f
	}
	r, err := s.Import(ctx, s.by, from, &accounts.ImportOptions{DryRun: s.p.dryRun, Replace: replace})
	if err != nil && !errors.Is(err, accounts.ErrNotified) {
		return err
	}
	return errors.Join(err, s.p.result(r, func(w io.Writer) {
		fmt.Fprintf(w, "%d facts added, %d replaced, %d were there already\n", r.Added, r.Replaced, r.Same)
	}))
}
