// Package reload keeps what a file says up to date, for Authenticators and Authorizers that may be
// changed while they are in use.
package reload

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
	// Interval is how often a file is looked at, at most.
	Interval = time.Second
	// settled is how old a change must be for the next one to be seen by its time: some filesystems
	// count in seconds.
	settled = 2 * time.Second
)

// File is what a file says. It is safe for concurrent use once Read has succeeded.
type File[T any] struct {
	// Path is where the file is, and Max how many bytes it may have.
	Path string
	Max  int
	// Parse makes what counts of the content. Its error says where.
	Parse func(content []byte) (T, error)
	// Fail is told, once for each change, why the file as it is does not count.
	Fail func(ctx context.Context, err error)
	// Now is the clock.
	Now func() time.Time

	current atomic.Pointer[T]
	next    atomic.Int64 // when to look again, in nanoseconds
	mu      sync.Mutex   // held to look
	seen    os.FileInfo  // of the file that was read last, right or wrong; nil: read it again
	failed  string       // what was wrong then
}

// Get returns what the file says, or said before it was broken. One caller at a time looks at the
// file; the others do not wait.
func (f *File[T]) Get(ctx context.Context) T {
	if f.due() && f.mu.TryLock() {
		if f.due() {
			if err := f.Read(); err == nil {
				f.failed = ""
			} else if f.failed != err.Error() {
				f.failed = err.Error()
				f.Fail(ctx, err)
			}
			f.next.Store(f.Now().Add(Interval).UnixNano())
		}
		f.mu.Unlock()
	}
	return *f.current.Load()
}

// due reports whether it is time to look, also if the clock has been put back.
func (f *File[T]) due() bool {
	left := time.Duration(f.next.Load() - f.Now().UnixNano())
	return left <= 0 || left > Interval
}

// Read reads the file if it has changed.
//
// Errors: that it cannot be read, is no regular file or too long; those of Parse.
func (f *File[T]) Read() error {
	info, err := os.Stat(f.Path)
	if err != nil {
		f.seen = nil
		return err
	}
	if f.seen != nil && unchanged(f.seen, info) {
		if f.failed != "" {
			return errors.New(f.failed)
		}
		return nil
	}
	f.seen = nil
	if !info.Mode().IsRegular() { // to open it may wait for ever
		return fmt.Errorf("%s: not a regular file", f.Path)
	}
	content, info, err := f.content()
	if err != nil {
		return err
	}
	if f.settled(info.ModTime()) && f.settled(changeTime(info)) {
		f.seen = info
	}
	v, err := f.Parse(content)
	if err != nil {
		return err
	}
	f.current.Store(&v)
	return nil
}

// unchanged reports whether a file is what it was. On Linux and macOS, a program that edits it in
// place cannot hide that by keeping its length and modification time, as some editors and
// synchronisation tools do.
func unchanged(before, now os.FileInfo) bool {
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime()) &&
		changeTime(before).Equal(changeTime(now))
}

// settled reports whether a change at time t is so old that a later one has another time.
func (f *File[T]) settled(t time.Time) bool { return f.Now().Sub(t).Abs() > settled }

// content returns what is in the file, and what the file was before it was read.
func (f *File[T]) content() ([]byte, os.FileInfo, error) {
	r, err := os.Open(f.Path)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, nil, err
	}
	content, err := io.ReadAll(io.LimitReader(r, int64(f.Max)+1))
	if err == nil && len(content) > f.Max {
		err = fmt.Errorf("%s: longer than %d bytes", f.Path, f.Max)
	}
	return content, info, err
}
