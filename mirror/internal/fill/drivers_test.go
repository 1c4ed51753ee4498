package fill_test

import (
	"context"
	"io"
	"iter"
	"sync"

	"github.com/registrykit/registry/storage/driver"
)

// List implements [driver.Driver].
func (a *aged) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		for info, err := range a.Driver.List(ctx, prefix, opts) {
			info.ModTime = info.ModTime.Add(-a.by)
			if !yield(info, err) {
				return
			}
		}
	}
}

// limited is a driver with little space left.
type limited struct {
	driver.Driver

	mu   sync.Mutex
	on   bool
	left int64
}

// setLeft sets the number of bytes that can still be written. Deletes free none.
func (l *limited) setLeft(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.on, l.left = true, n
}

// take uses n bytes. It reports whether they were left.
func (l *limited) take(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.on {
		return true
	}
	l.left -= n
	return l.left >= 0
}

// Put implements [driver.Driver].
func (l *limited) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if body != nil {
		body = spending{body, l}
	}
	return l.Driver.Put(ctx, key, body, opts)
}

// spending is the body of an object that takes space.
type spending struct {
	io.Reader
	from *limited
}

// Read implements [io.Reader].
func (s spending) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if !s.from.take(int64(n)) {
		return 0, driver.ErrNoSpace
	}
	return n, err
}
