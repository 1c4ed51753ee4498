package gc

import (
	"context"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

// throttled is a Driver that counts requests and spreads them over time.
type throttled struct {
	driver.Driver
	gap      time.Duration // between two requests; 0 means no limit
	requests atomic.Int64

	mu   sync.Mutex
	next time.Time
}

// listPage is the number of elements of a list that count as one request.
const listPage = 1000

// wait counts a request, and waits until the request may start.
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
	return pause.Sleep(ctx, turn.Sub(now))
}

// Open implements [driver.Driver].
func (p *throttled) Open(ctx context.Context, key string,
	opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	if err := p.wait(ctx); err != nil {
		return nil, driver.Info{}, err
	}
	return p.Driver.Open(ctx, key, opts)
}

// Stat implements [driver.Driver].
func (p *throttled) Stat(ctx context.Context, key string) (driver.Info, error) {
	if err := p.wait(ctx); err != nil {
		return driver.Info{}, err
	}
	return p.Driver.Stat(ctx, key)
}

// Put implements [driver.Driver].
func (p *throttled) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if err := p.wait(ctx); err != nil {
		return driver.Info{}, err
	}
	return p.Driver.Put(ctx, key, body, opts)
}

// Delete implements [driver.Driver].
func (p *throttled) Delete(ctx context.Context, key, ifVersion string) error {
	if err := p.wait(ctx); err != nil {
		return err
	}
	return p.Driver.Delete(ctx, key, ifVersion)
}

// List implements [driver.Driver]. Each page of listPage elements counts as a request.
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

// Sweep implements [driver.Sweeper], if the driver below does. Otherwise it does nothing.
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
