// Package parallel makes several calls at the same time.
package parallel

import "golang.org/x/sync/errgroup"

// Each calls f with each of 0 to n-1, at most width calls at a time, and returns when all have
// returned. Every call is made, whether or not another one fails. The error is that of the smallest
// number whose call failed, so that the same failures always give the same error.
//
// width must be positive. With n = 1, f runs in the goroutine of the caller.
func Each(width, n int, f func(i int) error) error {
	if n == 1 {
		return f(0)
	}
	errs := make([]error, n)
	var g errgroup.Group
	g.SetLimit(width)
	for i := range n {
		g.Go(func() error {
			errs[i] = f(i)
			return nil
		})
	}
	_ = g.Wait() // the calls report their errors in errs
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
