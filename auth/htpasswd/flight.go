package htpasswd

import (
	"context"
	"errors"
	"sync"
)

// flights makes one of what many ask for at once. It is no singleflight.Group, as there those who
// wait cannot give up, or the work goes on in a goroutine that outlives the request.
type flights struct {
	mu     sync.Mutex
	flying map[mac]*flight
}

type flight struct {
	done chan struct{}
	err  error // once done is closed
}

// errAbandoned is the error of a flight whose pilot's client has gone.
var errAbandoned = errors.New("htpasswd: the request was given up")

// do returns what work returns, called by this caller or another who is in it at the moment. If
// that one gives up, the work is begun anew.
func (f *flights) do(ctx context.Context, m mac, work func(ctx context.Context) error) error {
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
				return other.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *flights) fly(ctx context.Context, m mac, own *flight, work func(ctx context.Context) error) error {
	defer func() {
		f.mu.Lock()
		delete(f.flying, m)
		f.mu.Unlock()
		close(own.done)
	}()
	err := work(ctx)
	if ctx.Err() == nil || err == nil {
		own.err = err
	}
	return err
}
