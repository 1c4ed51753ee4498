package usage

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/internal/pause"
)

// call is one call of a method of a Meter. It limits the requests of the call and counts them.
type call struct {
	tokens chan struct{} // holds one element for each request that may run at this time
	gap    time.Duration // least time between two requests

	requests, repositories, blobs, total atomic.Int64

	mu   sync.Mutex
	next time.Time // when the next request may begin

	reporting sync.Mutex
	progress  func(Progress)
}

func (m *Meter) newCall(progress func(Progress)) *call {
	c := &call{tokens: make(chan struct{}, m.opts.Parallel), progress: progress}
	if m.opts.Rate > 0 {
		c.gap = time.Second / time.Duration(m.opts.Rate)
	}
	return c
}

// request counts a request that is about to begin, and delays it if there are too many per second.
//
// Errors: the error of ctx.
func (c *call) request(ctx context.Context) error {
	c.requests.Add(1)
	if c.gap == 0 {
		return ctx.Err()
	}
	c.mu.Lock()
	now := time.Now()
	at := c.next
	if at.Before(now) {
		at = now
	}
	c.next = at.Add(c.gap)
	c.mu.Unlock()
	return pause.Sleep(ctx, at.Sub(now))
}

// perList is the number of elements of a list for which one request is counted.
const perList = 1000

// listed counts the requests of a list. It is called with the number of elements before each element.
//
// Errors: the error of ctx.
func (c *call) listed(ctx context.Context, before int64) error {
	if before%perList != 0 || before == 0 {
		return nil // the first request is counted before the list begins
	}
	return c.request(ctx)
}

// enter waits until the caller may make one request at a time. The caller calls leave.
//
// Errors: the error of ctx.
func (c *call) enter(ctx context.Context) error {
	select {
	case c.tokens <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *call) leave() { <-c.tokens }

// each calls f with each of 0 to n-1, as parallel.Each does, and with as many calls at a time as the
// limit leaves room for. The caller has called enter.
func (c *call) each(n int, f func(i int) error) error {
	if n == 0 {
		return nil
	}
	width := 1
	defer func() {
		for ; width > 1; width-- {
			c.leave()
		}
	}()
	for full := false; !full && width < n; {
		select {
		case c.tokens <- struct{}{}:
			width++
		default:
			full = true
		}
	}
	return parallel.Each(width, n, f)
}

// report reports the progress.
func (c *call) report() {
	if c.progress == nil {
		return
	}
	c.reporting.Lock()
	defer c.reporting.Unlock()
	c.progress(Progress{
		Repositories: c.repositories.Load(), Total: c.total.Load(), Blobs: c.blobs.Load(), Requests: c.requests.Load(),
	})
}
