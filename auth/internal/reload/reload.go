// Package reload follows the changes of a file, for Authenticators and Authorizers whose
// configuration changes while they are in use.
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
	// Interval is the minimum time between two checks of a file.
	Interval = time.Second
	// settled is the age at which the time of a change is sure to differ from that of the next
	// change: some filesystems have times in whole seconds.
	settled = 2 * time.Second
)

// File is a file and its parsed content. It is safe for concurrent use once Read has succeeded.
type File[T any] struct {
	// Path is the path of the file. Max is its maximum size, in bytes.
	Path string
	Max  int
	// Parse parses the content. Its error contains the path and the line.
	Parse func(content []byte) (T, error)
	// Fail receives the reason why a changed file is not used, once for each change.
	Fail func(ctx context.Context, err error)
	// Now returns the current time.
	Now func() time.Time

	current atomic.Pointer[T]
	next    atomic.Int64 // the time of the next check, in nanoseconds
	mu      sync.Mutex   // held during a check
	seen    os.FileInfo  // of the file that was read last, valid or not; nil: read it again
	failed  string       // the error of that read; "" if there was none
}

// Get returns the content of the last valid file. If a check is due, one caller at a time checks
// the file; the others do not wait.
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

// due reports whether it is time for a check. It also handles a clock that was set back.
func (f *File[T]) due() bool {
	left := time.Duration(f.next.Load() - f.Now().UnixNano())
	return left <= 0 || left > Interval
}

// Read reads the file if it has changed.
//
// Read returns an error if the file cannot be read, is not a regular file or is too long, and the
// errors of Parse.
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
	if !info.Mode().IsRegular() { // opening it might block forever
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

// unchanged reports whether a file is the same as before. Some editors and synchronisation tools
// edit a file in place and keep its length and modification time. On Linux and macOS, the change
// time reveals that.
func unchanged(before, now os.FileInfo) bool {
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime()) &&
		changeTime(before).Equal(changeTime(now))
}

// settled reports whether a change at time t is so old that a later change has another time.
func (f *File[T]) settled(t time.Time) bool { return f.Now().Sub(t).Abs() > settled }

// content returns the content of the file, and its info from before it was read.
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
