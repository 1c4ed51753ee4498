// Package parallel makes several calls at the same time.
package parallel

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Each calls f with each of 0 to n-1, at most width calls at a time, and returns when all have
// returned. Calls begin in ascending order. Every call is made, whether or not another one fails. The
// error is that of the smallest number whose call failed, so that the same failures always give the
// same error.
//
// A call that panics makes Each panic when all others have returned, with the stack of the call: the
// handler of a request recovers from that, and nothing recovers from a panic of another goroutine.
//
// width must be positive. With width = 1 or n = 1, the calls run in the goroutine of the caller,
// and a panic is not delayed.
func Each(width, n int, f func(i int) error) error {
	if width == 1 || n == 1 {
		return inTurn(n, f)
	}
	errs := make([]error, n)
	var next atomic.Int64
	var thrown atomic.Pointer[error]
	var workers errgroup.Group
	for range min(width, n) {
		workers.Go(func() error {
			defer func() {
				if p := recover(); p != nil {
					err := fmt.Errorf("%v\n%s", p, debug.Stack())
					thrown.CompareAndSwap(nil, &err)
				}
			}()
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				errs[i] = f(int(i))
			}
			return nil
		})
	}
	_ = workers.Wait() // the calls report their errors in errs
	if err := thrown.Load(); err != nil {
		panic(*err)
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// inTurn is Each without goroutines.
func inTurn(n int, f func(i int) error) (first error) {
	for i := range n {
		if err := f(i); first == nil {
			first = err
		}
	}
	return first
}
