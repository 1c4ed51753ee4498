package rules

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// interval is how often a file is looked at, at most.
	interval = time.Second
	// settled is how old a change must be for the next one to show in the time of the file.
	settled = 2 * time.Second
)

// Options are the options of [Load]. nil is the zero Options.
type Options struct {
	// Error is told, once for each change of the file, why its new rules do not count. The old ones do. Default: nobody is told.
	Error func(ctx context.Context, err error)
}

// Load makes rules of a YAML file, and makes them anew when it changes: see Files in the package comment. Explain calls a rule by file and line:
// "rules.yaml:12: NAME". opts may be nil.
//
// Errors: those of [Parse], with the file, and that it cannot be read.
func Load(path string, opts *Options) (*Rules, error) {
	f := &file{path: path, now: time.Now}
	if opts != nil {
		f.opts = *opts
	}
	t, err := f.read()
	if err != nil {
		return nil, err
	}
	f.checked.Store(f.now().UnixNano())
	r := of(t)
	r.file = f
	return r, nil
}

// file is where rules are read from.
type file struct {
	path string
	opts Options
	now  func() time.Time

	checked atomic.Int64 // when it was looked at last, in ns since 1970
	mu      sync.Mutex   // held while it is
	info    fs.FileInfo  // what it was when it was read last; nil if it could not be
	readAt  time.Time    // and when that was
	content []byte       // and what was in it
	failed  string       // the error that has been told last; "" if all is well
}

// refresh reads the file again if it has changed, and puts its rules in place. One caller does; the others go on with what there is.
func (f *file) refresh(ctx context.Context, current *atomic.Pointer[table]) {
	since := f.now().UnixNano() - f.checked.Load()
	if 0 <= since && since < int64(interval) || !f.mu.TryLock() {
		return
	}
	defer f.mu.Unlock()
	f.checked.Store(f.now().UnixNano())
	if f.unchanged() {
		return
	}
	t, err := f.read()
	switch {
	case err == nil:
		f.failed = ""
		if t != nil {
			current.Store(t)
		}
	case err.Error() != f.failed:
		f.failed = err.Error()
		if f.opts.Error != nil {
			f.opts.Error(ctx, err)
		}
	}
}

// unchanged reports whether the file is what was read last, for all that can be seen from outside.
func (f *file) unchanged() bool {
	info, err := os.Stat(f.path)
	return err == nil && f.info != nil && os.SameFile(info, f.info) && info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime()) &&
		f.readAt.Sub(info.ModTime()) > settled
}

// read returns the rules of the file, nil if they are those that count already.
func (f *file) read() (*table, error) {
	content, err := f.contents()
	if err != nil {
		f.content = nil
		return nil, fmt.Errorf("rules: %w", err)
	}
	if f.content != nil && bytes.Equal(content, f.content) {
		if f.failed != "" {
			return nil, errors.New(f.failed)
		}
		return nil, nil
	}
	f.content = content
	t, err := parse(content, filepath.Base(f.path)+":", f.path+":")
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return t, nil
}

// contents reads the file, and remembers what it was.
func (f *file) contents() ([]byte, error) {
	f.info, f.readAt = nil, f.now()
	info, err := os.Stat(f.path) // opening what is no file may wait for ever
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", f.path)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err != nil {
		return nil, err
	}
	f.info = info
	return content, nil
}
