package guess

import (
	"context"
	"errors"
	"sync"
)

// flights merges concurrent calls with the same key into one. It is no singleflight.Group, because
// there a waiting caller either cannot give up, or the work continues in a goroutine that outlives
// the request.
type flights struct {
	mu     sync.Mutex
	flying map[mac]*flight
}

// flight is work in progress. Its result is valid once done is closed.
type flight struct {
	done    chan struct{}
	version string
	err     error
}

// errAbandoned is the error of a flight whose caller gave up before the work was done.
var errAbandoned = errors.New("guess: the request was cancelled")

// do calls work and returns its result. If another caller is doing the work for m, do waits and
// returns that result instead. If that caller gives up, one of those who wait starts the work again.
func (f *flights) do(ctx context.Context, m mac, work func(ctx context.Context) (string, error)) (string, error) {
	for {
		f.mu.Lock()
		other := f.flying[m]
		if other == nil {
			own := &flight{done: make(chan struct{}), err: errAbandoned}
			if f.flying == nil {
				f.flying = make(map[mac]*flight)
			}
			f.flying[m] = own
			f.mu.Unlock()
			return f.fly(ctx, m, own, work)
		}
		f.mu.Unlock()
		select {
		case <-other.done:
			if !errors.Is(other.err, errAbandoned) {
				return other.version, other.err
			}
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

// fly does the work as the caller that others wait for.
func (f *flights) fly(ctx context.Context, m mac, own *flight,
	work func(ctx context.Context) (string, error)) (string, error) {
	defer func() {
		f.mu.Lock()
		delete(f.flying, m)
		f.mu.Unlock()
		close(own.done)
	}()
	version, err := work(ctx)
	if ctx.Err() == nil || err == nil {
		own.version, own.err = version, err
	}
	return version, err
}

func (f *flights) len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.flying)
}
