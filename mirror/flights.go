package mirror

import (
	"context"
	"sync"
	"time"

	"github.com/registrykit/registry/internal/contain"
)

// flights lets concurrent callers share one call of a function for each key. The zero value is
// ready for use.
type flights[T any] struct {
	mu      sync.Mutex
	pending map[string]*flight[T]
}

// flight is a call in progress.
type flight[T any] struct {
	done  chan struct{} // closed when value and err are set
	held  chan struct{} // closed when the call has begun to wait for a decision
	value T
	err   error
}

// do returns the result of f. If a call for the same key is in progress, do waits for that one. The
// call goes on when ctx ends, since others may wait for it; f must have a time limit of its own.
//
// f may call hold once, before it waits for something that can take long. From then on, each caller
// waits at most patience.
//
// Errors: that of f, that of ctx, and errHeld.
func (g *flights[T]) do(ctx context.Context, key string, patience time.Duration,
	f func(hold func()) (T, error)) (T, error) {
	fl := g.join(key, f)
	var zero T
	select {
	case <-fl.done:
		return fl.value, fl.err
	case <-ctx.Done():
		return zero, ctx.Err()
	case <-fl.held:
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case <-fl.done:
		return fl.value, fl.err
	case <-ctx.Done():
		return zero, ctx.Err()
	case <-t.C:
		return zero, errHeld
	}
}

// join returns the call in progress for a key, or begins one.
func (g *flights[T]) join(key string, f func(hold func()) (T, error)) *flight[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if fl := g.pending[key]; fl != nil {
		return fl
	}
	fl := &flight[T]{done: make(chan struct{}), held: make(chan struct{})}
	if g.pending == nil {
		g.pending = map[string]*flight[T]{}
	}
	g.pending[key] = fl
	contain.Go(func() (err error) {
		fl.value, err = f(sync.OnceFunc(func() { close(fl.held) }))
		return err
	}, func(err error) {
		fl.err = err
		g.mu.Lock()
		delete(g.pending, key)
		g.mu.Unlock()
		close(fl.done)
	})
	return fl
}

// requestLimit is the maximum time of a request to an upstream that several callers wait for. The
// upstream has shorter limits for each of its URLs.
const requestLimit = 2 * time.Minute

// detached returns the context of a call that several callers share. It has none of the values of
// their contexts, because some of these end with their requests.
func detached() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), requestLimit)
}
