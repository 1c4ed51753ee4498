package scrub

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

// clock is what the limits wait by.
type clock struct {
	now   func() time.Time
	sleep func(ctx context.Context, d time.Duration) error
}

// realClock is the clock of a run.
var realClock = clock{now: time.Now, sleep: pause.Sleep}

// limiter spreads units over time.
type limiter struct {
	clock clock
	each  time.Duration // of a thousand units; 0 means no limit

	mu   sync.Mutex
	next time.Time
}

// newLimiter returns a limiter of so many units a second; 0 means no limit.
func newLimiter(perSecond int64, c clock) *limiter {
	l := &limiter{clock: c}
	if perSecond > 0 {
		l.each = max(time.Duration(1000*float64(time.Second)/float64(perSecond)), 1)
	}
	return l
}

// wait waits until n units may be used.
func (l *limiter) wait(ctx context.Context, n int64) error {
	if l.each == 0 {
		return ctx.Err()
	}
	l.mu.Lock()
	now := l.clock.now()
	turn := l.next
	if turn.Before(now) {
		turn = now
	}
	l.next = turn.Add(time.Duration(float64(l.each) * float64(n) / 1000))
	l.mu.Unlock()
	return l.clock.sleep(ctx, turn.Sub(now))
}

// throttled is a Driver that counts requests, and spreads requests and the bytes that are read over
// time.
type throttled struct {
	driver.Driver
	perRequest, perByte *limiter
	requests            atomic.Int64
}

func newThrottled(d driver.Driver, o Options) *throttled {
	return &throttled{Driver: d, perRequest: newLimiter(int64(o.Requests), o.clock), perByte: newLimiter(o.Rate, o.clock)}
}

// listPage is the number of elements of a list that count as one request.
const listPage = 1000

// wait counts a request, and waits until it may start.
func (t *throttled) wait(ctx context.Context) error {
	t.requests.Add(1)
	return t.perRequest.wait(ctx, 1)
}

// Open implements [driver.Driver].
func (t *throttled) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	if err := t.wait(ctx); err != nil {
		return nil, driver.Info{}, err
	}
	r, info, err := t.Driver.Open(ctx, key, opts)
	if err != nil || t.perByte.each == 0 {
		return r, info, err
	}
	return &slowReader{ReadCloser: r, ctx: ctx, limit: t.perByte}, info, nil
}

// Stat implements [driver.Driver].
func (t *throttled) Stat(ctx context.Context, key string) (driver.Info, error) {
	if err := t.wait(ctx); err != nil {
		return driver.Info{}, err
	}
	return t.Driver.Stat(ctx, key)
}

// Put implements [driver.Driver].
func (t *throttled) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if err := t.wait(ctx); err != nil {
		return driver.Info{}, err
	}
	return t.Driver.Put(ctx, key, body, opts)
}

// Delete implements [driver.Driver].
func (t *throttled) Delete(ctx context.Context, key, ifVersion string) error {
	if err := t.wait(ctx); err != nil {
		return err
	}
	return t.Driver.Delete(ctx, key, ifVersion)
}

// List implements [driver.Driver]. Each page of listPage elements counts as a request.
func (t *throttled) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		n := 0
		if err := t.wait(ctx); err != nil {
			yield(driver.Info{}, err)
			return
		}
		for info, err := range t.Driver.List(ctx, prefix, opts) {
			if n++; n%listPage == 0 && err == nil {
				err = t.wait(ctx)
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// slowReader spreads the bytes that are read over time.
type slowReader struct {
	io.ReadCloser
	ctx   context.Context
	limit *limiter
}

// maxRead is the maximum number of bytes that are read at once under a limit.
const maxRead = 64 << 10

// Read implements [io.Reader].
func (s *slowReader) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p[:min(len(p), maxRead)])
	if werr := s.limit.wait(s.ctx, int64(n)); werr != nil && (err == nil || err == io.EOF) {
		err = werr
	}
	return n, err
}
