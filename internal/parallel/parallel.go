// Package parallel makes several calls at the same time.
package parallel

import (
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Each calls f with each of 0 to n-1, at most width calls at a time, and returns when all have
// returned. Calls begin in ascending order. Every call is made, whether or not another one fails. The
// error is that of the smallest number whose call failed, so that the same failures always give the
// same error.
//
// width must be positive. With n = 1, f runs in the goroutine of the caller.
func Each(width, n int, f func(i int) error) error {
	if n == 1 {
		return f(0)
	}
	errs := make([]error, n)
	var next atomic.Int64
	var workers errgroup.Group
	for range min(width, n) {
		workers.Go(func() error {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				errs[i] = f(int(i))
			}
			return nil
		})
	}
	_ = workers.Wait() // the calls report their errors in errs
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
