package drivertest

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"

	"github.com/registrykit/registry/storage/driver"
)

// Errors that a [Faulty] returns. They wrap no error of the package driver, so callers must not
// conclude anything from them.
var (
	// ErrCut is returned by every operation after a cut. See [Faulty.CutAfter].
	ErrCut = errors.New("drivertest: cut off")
	// ErrInjected is returned by a write that [Faulty.FailWrite] or [Faulty.LoseResponse] selects.
	ErrInjected = errors.New("drivertest: injected failure")
)

// Call is one call of an operation of a [Faulty].
type Call struct {
	// Op is the name of the method: Open, Stat, Put, Delete, List or Sync.
	Op string
	// Key is the key, the prefix of a List, or the first key of a Sync.
	Key string
	// Number is the number of the call among all calls, starting at 1.
	Number int
	// Write is the number of the call among the calls of Put and Delete, starting at 1. It is 0 for
	// other operations.
	Write int
}

// FaultyOptions are the options of [NewFaulty]. Both functions must be safe for concurrent use.
// They are called without a lock, so they may block to delay an operation.
type FaultyOptions struct {
	// Before is called before an operation. If it returns an error, the operation is not performed
	// and returns that error. Default: nil.
	Before func(ctx context.Context, c Call) error
	// After is called after an operation with its error or nil. It returns the error that the
	// caller gets. For a List it is called at the end of the iteration. Default: nil.
	After func(ctx context.Context, c Call, err error) error
}

// Faulty is a [driver.Driver] that passes calls on to another driver, except for those that a test
// makes fail. It implements no optional interfaces. A test keeps the wrapped driver to see what is
// really stored.
//
// To test every possible crash of an operation, a test runs it for n = 0, 1, 2, … with CutAfter(n),
// until Cut reports false. After each run it checks the content of the wrapped driver.
type Faulty struct {
	below driver.Driver
	opts  FaultyOptions

	mu       sync.Mutex
	counts   map[string]int
	number   int
	writes   int          // writes admitted since NewFaulty
	finished int          // writes that have returned
	limit    int          // maximum of writes and finished, or -1
	cut      bool         // an operation was rejected because of limit
	plan     map[int]plan // by Call.Write
}

// plan states how a write fails.
type plan int

const (
	notPerformed plan = iota + 1
	noResponse
)

var _ driver.Driver = (*Faulty)(nil)

// NewFaulty returns a Faulty that wraps d. opts may be nil. Without options, no operation fails
// until a test calls CutAfter, FailWrite or LoseResponse.
func NewFaulty(d driver.Driver, opts *FaultyOptions) *Faulty {
	f := &Faulty{below: d, counts: make(map[string]int), limit: -1, plan: make(map[int]plan)}
	if opts != nil {
		f.opts = *opts
	}
	return f
}

// CutAfter lets n more writes succeed. After them, all operations do nothing and return [ErrCut],
// as if the process had been killed right after the last of these writes.
func (f *Faulty) CutAfter(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit, f.cut = f.writes+n, false
}

// Cut reports whether any operation has failed because of [Faulty.CutAfter].
func (f *Faulty) Cut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut
}

// FailWrite makes the n-th write from now on return [ErrInjected] without being performed. The next
// write is number 1.
func (f *Faulty) FailWrite(n int) { f.arrange(n, notPerformed) }

// LoseResponse makes the n-th write from now on return [ErrInjected] although it is performed, as if
// its response were lost. The next write is number 1.
func (f *Faulty) LoseResponse(n int) { f.arrange(n, noResponse) }

func (f *Faulty) arrange(n int, p plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan[f.writes+n] = p
}

// Heal cancels all planned failures. It does not reset the counts.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit, f.cut = -1, false
	clear(f.plan)
}

// Count returns the number of calls of an operation, without those that returned [ErrCut] because
// of a cut. An empty op means all operations.
func (f *Faulty) Count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if op == "" {
		return f.number
	}
	return f.counts[op]
}

// Writes returns the number of calls of Put and Delete, without those that returned [ErrCut]
// because of a cut.
func (f *Faulty) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// admit counts a call, or rejects it with ErrCut.
func (f *Faulty) admit(op, key string) (c Call, p plan, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	write := op == "Put" || op == "Delete"
	if f.limit >= 0 && (f.finished >= f.limit || write && f.writes >= f.limit) {
		f.cut = true
		return Call{}, 0, ErrCut
	}
	f.number++
	f.counts[op]++
	c = Call{Op: op, Key: key, Number: f.number}
	if write {
		f.writes++
		c.Write = f.writes
		p = f.plan[f.writes]
	}
	return c, p, nil
}

// run performs one operation.
func (f *Faulty) run(ctx context.Context, op, key string, do func() error) error {
	c, p, err := f.admit(op, key)
	if err != nil {
		return err
	}
	if c.Write > 0 {
		defer func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.finished++
		}()
	}
	if f.opts.Before != nil {
		if err := f.opts.Before(ctx, c); err != nil {
			return err
		}
	}
	if p == notPerformed {
		return ErrInjected
	}
	err = do()
	if p == noResponse {
		err = ErrInjected
	}
	if f.opts.After != nil {
		err = f.opts.After(ctx, c, err)
	}
	return err
}

// Open implements [driver.Driver].
func (f *Faulty) Open(ctx context.Context, key string, opts *driver.OpenOptions) (r io.ReadCloser, info driver.Info,
	err error) {
	err = f.run(ctx, "Open", key, func() (err error) {
		r, info, err = f.below.Open(ctx, key, opts)
		return err
	})
	if err != nil && r != nil {
		_ = r.Close()
		r = nil
	}
	return r, info, err
}

// Stat implements [driver.Driver].
func (f *Faulty) Stat(ctx context.Context, key string) (info driver.Info, err error) {
	err = f.run(ctx, "Stat", key, func() (err error) {
		info, err = f.below.Stat(ctx, key)
		return err
	})
	return info, err
}

// Put implements [driver.Driver].
func (f *Faulty) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (info driver.Info,
	err error) {
	err = f.run(ctx, "Put", key, func() (err error) {
		info, err = f.below.Put(ctx, key, body, opts)
		return err
	})
	if err != nil {
		info = driver.Info{}
	}
	return info, err
}

// Delete implements [driver.Driver].
func (f *Faulty) Delete(ctx context.Context, key, ifVersion string) error {
	return f.run(ctx, "Delete", key, func() error { return f.below.Delete(ctx, key, ifVersion) })
}

// List implements [driver.Driver].
func (f *Faulty) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		more := true
		err := f.run(ctx, "List", prefix, func() error {
			for info, err := range f.below.List(ctx, prefix, opts) {
				if err == nil {
					err = f.alive()
				}
				if err != nil {
					return err
				}
				if more = yield(info, nil); !more {
					return nil
				}
			}
			return nil
		})
		if err != nil && more {
			yield(driver.Info{}, err)
		}
	}
}

// alive returns ErrCut if the driver is cut off.
func (f *Faulty) alive() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limit >= 0 && f.finished >= f.limit {
		f.cut = true
		return ErrCut
	}
	return nil
}

// MaxObjectSize implements [driver.Driver].
func (f *Faulty) MaxObjectSize() int64 { return f.below.MaxObjectSize() }

// Sync implements [driver.Driver].
func (f *Faulty) Sync(ctx context.Context, keys ...string) error {
	key := ""
	if len(keys) > 0 {
		key = keys[0]
	}
	return f.run(ctx, "Sync", key, func() error { return f.below.Sync(ctx, keys...) })
}
