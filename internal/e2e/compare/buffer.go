package main

import (
	"context"
	"strconv"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// bufferSizes are the sizes in bytes among which bestBuffer chooses.
var bufferSizes = []int{32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20}

// bestBuffer finds the size of the buffer with which the limit stores a large blob for the least
// processor time, and makes the limit use it.
func bestBuffer(ctx context.Context, limit *side) error {
	const size, times = 64 << 20, 3
	b := newLargeBlobs(1, size)
	b.next(0)
	best, least := 0, 0.0
	for _, buffer := range bufferSizes {
		limit.options.Args = []string{"-buffer", strconv.Itoa(buffer)}
		if err := limit.fresh(); err != nil {
			return err
		}
		var costs []float64
		for range times {
			before, err := harness.CPU(limit.server.PID())
			if err != nil {
				return err
			}
			if err := putWhole(ctx, limit, b.digests[0], b.contents[0]); err != nil {
				return err
			}
			after, err := harness.CPU(limit.server.PID())
			if err != nil {
				return err
			}
			costs = append(costs, float64(after-before))
		}
		if cost := median(costs); best == 0 || cost < least {
			best, least = buffer, cost
		}
	}
	limit.options.Args = []string{"-buffer", strconv.Itoa(best)}
	return nil
}
