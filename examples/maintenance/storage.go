package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/examples/internal/bucket"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/filter/glob"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/memory"
)

// place is a storage that a flag names.
type place struct {
	flag string // its name
	name string // a directory or the URL of a bucket
	opts storage.Options

	driver  driver.Driver
	store   *storage.Store
	scratch string // a directory that close removes, or ""
}

// define registers the flag.
func (l *place) define(f *flag.FlagSet, name, usage string) {
	l.flag = name
	f.StringVar(&l.name, name, "", usage+" Required.")
}

// storageFlag registers the flag -storage.
func (l *place) storageFlag(f *flag.FlagSet) {
	l.define(f, "storage", "Work on this `storage`: a directory, or the URL of a bucket as examples/cloud takes it.")
}

// storageOrHubFlag registers the flag -storage of a command that also works on a hub.
func (l *place) storageOrHubFlag(f *flag.FlagSet) {
	l.flag = "storage"
	f.StringVar(&l.name, l.flag, "",
		"Work on this `storage`: a directory, or the URL of a bucket as examples/cloud takes it. Required without -hub.")
}

// open opens a storage that exists. The caller closes it.
func (l *place) open(ctx context.Context) error {
	if l.name == "" {
		return misusef("-%s is required", l.flag)
	}
	if !isURL(l.name) && !exists(filepath.Join(l.name, "objects")) {
		return misusef("-%s %s: no storage of a registry is there", l.flag, l.name)
	}
	return l.openAny(ctx, false)
}

// create opens a storage, which may be new. In a dry run, a storage that does not exist is an empty
// one.
func (l *place) create(ctx context.Context, dryRun bool) error {
	if l.name == "" {
		return misusef("-%s is required", l.flag)
	}
	return l.openAny(ctx, dryRun && !isURL(l.name) && !exists(filepath.Join(l.name, "objects")))
}

// empty opens an empty storage for a dry run. It is on the file system of the storage that does not exist yet,
// so that the dry run finds out whether layers can be linked there. close removes it. Where nothing can be
// written, it is in memory.
func (l *place) empty(ctx context.Context) (driver.Driver, error) {
	dir, err := filepath.Abs(l.name)
	if err != nil {
		return nil, err
	}
	for !exists(dir) {
		dir = filepath.Dir(dir)
	}
	l.scratch, err = os.MkdirTemp(dir, ".dry-run-*")
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return memory.New(nil), nil
	}
	if err != nil {
		return nil, err
	}
	return openDriver(ctx, l.scratch)
}

func (l *place) openAny(ctx context.Context, empty bool) (err error) {
	if strings.HasPrefix(l.name, "mem://") {
		return misusef("-%s %s: that is the memory of a server, which only the server can reach", l.flag, l.name)
	}
	if empty {
		l.driver, err = l.empty(ctx)
	} else {
		l.driver, err = openDriver(ctx, l.name)
	}
	if err == nil {
		l.store, err = storage.New(ctx, l.driver, &l.opts)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("-%s: %w", l.flag, err), l.close())
	}
	return nil
}

// openDriver opens a directory or bucket.
func openDriver(ctx context.Context, name string) (driver.Driver, error) {
	if isURL(name) {
		return bucket.Open(ctx, name, gocloud.Parts{})
	}
	d, err := disk.New(name, nil)
	if err != nil {
		return nil, err // and not a nil *disk.Driver, which would be closed
	}
	return d, nil
}

// close closes the storage.
func (l *place) close() (err error) {
	if c, ok := l.driver.(io.Closer); ok {
		err = c.Close()
	}
	if l.scratch != "" {
		err = errors.Join(err, os.RemoveAll(l.scratch))
	}
	return err
}

// isURL reports whether a name is a URL, and no path.
func isURL(name string) bool { return strings.Contains(name, "://") }

// exists reports whether there is a file or directory.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// caller holds the flags of commands that delete or restore as somebody.
type caller struct {
	by        string
	groups    list
	access    string
	immutable list
	history   time.Duration
	grace     time.Duration
}

// defaultHistory is the default of -history.
const defaultHistory = 30 * 24 * time.Hour

func (c *caller) flags(f *flag.FlagSet) {
	f.StringVar(&c.by, "by", "maintenance", "Act as the user of this `name`, for -access and the history.")
	f.Var(&c.groups, "group", "Act as a member of this `group`, for -access. May be repeated. Default: none.")
	f.StringVar(&c.access, "access", "",
		"Authorize -by by the rules in this YAML `file`, as -rules of the server. Default: everything is allowed.")
	f.Var(&c.immutable, "immutable", "Leave tags alone that match this `pattern`. It must be the same as for the server. "+
		"May be repeated. Default: none.")
	graceFlag(f, &c.grace)
	f.DurationVar(&c.history, "history", defaultHistory,
		"Record what is deleted, so that it can be undone for this `time`. It must be the same as for the server. 0: never.")
}

// graceFlag registers the flag -grace.
func graceFlag(f *flag.FlagSet, grace *time.Duration) {
	f.DurationVar(grace, "grace", storage.DefaultGrace,
		"Leave alone what was pushed within this `time`. It must be the same as for the server.")
}

// graceOption returns the value for storage.Options.Grace, where 0 means the default.
func graceOption(grace time.Duration) time.Duration {
	if grace == 0 {
		return -1
	}
	return grace
}

// backend returns the storage as -by sees it.
func (c *caller) backend(s *storage.Store) (registry.Backend, error) {
	var b registry.Backend = s
	if len(c.immutable) > 0 {
		protects, err := glob.Tags(c.immutable...)
		if err != nil {
			return nil, misusef("-immutable: %w", err)
		}
		b = filter.Immutable(b, &filter.ImmutableOptions{Protects: protects})
	}
	opts := &registry.Options{}
	if c.access != "" {
		access, err := rules.Load(c.access, nil)
		if err != nil {
			return nil, misusef("-access: %w", err)
		}
		opts.Authorizer = access
	}
	reg, err := registry.New(b, opts)
	if err != nil {
		return nil, err
	}
	return reg.Backend(auth.Identity{Name: c.by, Groups: c.groups}), nil
}

// closing closes a storage and returns the first error.
func closing(l *place, err error) error {
	if cerr := l.close(); err == nil {
		return cerr
	}
	return err
}
