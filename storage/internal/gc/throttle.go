package gc

import (
	"context"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// throttled is a Driver that counts requests, and spreads them over time. Its writes and deletes may
// use up the reserve.
type throttled struct {
	driver.Driver
	gap      time.Duration // between two requests; 0 is none
	requests atomic.Int64

	mu   sync.Mutex
	next time.Time
}

// listPage is how many elements of a list count as one request.
const listPage = 1000

// wait counts a request, and waits until it is its turn.
func (p *throttled) wait(ctx context.Context) error {
	p.requests.Add(1)
	if p.gap == 0 {
		return ctx.Err()
	}
	p.mu.Lock()
	now := time.Now()
	turn := p.next
	if turn.Before(now) {
		turn = now
	}
	p.next = turn.Add(p.gap)
	p.mu.Unlock()
	return object.Sleep(ctx, turn.Sub(now))
}

func (p *throttled) Open(ctx context.Context, key string,
	opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	if err := p.wait(ctx); err != nil {
		return nil, driver.Info{}, err
	}
	return p.Driver.Open(ctx, key, opts)
}

func (p *throttled) Stat(ctx context.Context, key string) (driver.Info, error) {
	if err := p.wait(ctx); err != nil {
		return driver.Info{}, err
	}
	return p.Driver.Stat(ctx, key)
}

func (p *throttled) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if err := p.wait(ctx); err != nil {
		return driver.Info{}, err
	}
	return p.Driver.Put(ctx, key, body, opts)
}

func (p *throttled) Delete(ctx context.Context, key, ifVersion string) error {
	if err := p.wait(ctx); err != nil {
		return err
	}
	return p.Driver.Delete(ctx, key, ifVersion)
}

func (p *throttled) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		n := 0
		if err := p.wait(ctx); err != nil {
			yield(driver.Info{}, err)
			return
		}
		for info, err := range p.Driver.List(ctx, prefix, opts) {
			if n++; n%listPage == 0 && err == nil {
				err = p.wait(ctx)
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// Sweep implements [driver.Sweeper], for a driver that is one.
func (p *throttled) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	sweeper, ok := p.Driver.(driver.Sweeper)
	if !ok {
		return 0, nil
	}
	if err := p.wait(ctx); err != nil {
		return 0, err
	}
	return sweeper.Sweep(ctx, prefix, before)
}
