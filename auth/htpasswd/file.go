package htpasswd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// interval is how often a file is looked at.
	interval = time.Second
	// settled is how old a change must be for the next one to be seen by its time: some filesystems count in seconds.
	settled = 2 * time.Second
	// maxFile is how many bytes a file has at most.
	maxFile = 16 << 20
)

// file is what a file says, kept up to date.
type file[T any] struct {
	path  string
	parse func(content []byte) (T, error)
	fail  func(ctx context.Context, err error) // is told once for each change of what is wrong
	now   func() time.Time

	current atomic.Pointer[T]
	next    atomic.Int64 // when to look again, in nanoseconds
	mu      sync.Mutex   // held to look
	seen    os.FileInfo  // of the file that was read last, right or wrong; nil: read it again
	failed  string       // what was wrong then
}

// get returns what the file says, or said before it was broken. One caller at a time looks at the file; the others do not wait.
func (f *file[T]) get(ctx context.Context) T {
	if f.due() && f.mu.TryLock() {
		if f.due() {
			if err := f.look(); err == nil {
				f.failed = ""
			} else if f.failed != err.Error() {
				f.failed = err.Error()
				f.fail(ctx, err)
			}
			f.next.Store(f.now().Add(interval).UnixNano())
		}
		f.mu.Unlock()
	}
	return *f.current.Load()
}

// due reports whether it is time to look, also if the clock has been put back.
func (f *file[T]) due() bool {
	left := time.Duration(f.next.Load() - f.now().UnixNano())
	return left <= 0 || left > interval
}

// look reads the file if it has changed.
func (f *file[T]) look() error {
	info, err := os.Stat(f.path)
	if err != nil {
		f.seen = nil
		return err
	}
	if s := f.seen; s != nil && os.SameFile(s, info) && s.Size() == info.Size() && s.ModTime().Equal(info.ModTime()) {
		if f.failed != "" {
			return errors.New(f.failed)
		}
		return nil
	}
	f.seen = nil
	content, info, err := read(f.path)
	if err != nil {
		return err
	}
	if f.now().Sub(info.ModTime()).Abs() > settled {
		f.seen = info
	}
	v, err := f.parse(content)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.current.Store(&v)
	return nil
}

// read returns the content of a file, and what the file was before it was read.
func read(path string) ([]byte, os.FileInfo, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%s: not a regular file", path)
	}
	content, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(content) > maxFile {
		err = fmt.Errorf("%s: longer than %d bytes", path, maxFile)
	}
	return content, info, err
}
