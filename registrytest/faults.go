package registrytest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/registry"
)

// Faults makes selected operations of a registry fail or wait, and counts them. The zero Faults
// changes nothing. Pass [Faults.Intercept] to [registry.Options] or [registry.Intercept]:
//
//	var faults registrytest.Faults
//	s := registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{faults.Intercept}})
//	faults.Fail(1, registry.ErrUnavailable, registry.OpPutManifest)
//
// The kinds of operations are those of [registry.Op], including the steps of an upload. Where a
// method takes kinds, none means all. If several rules apply to an operation, they apply in the
// order in which they were added. A Faults is safe for concurrent use.
type Faults struct {
	mu     sync.Mutex
	rules  []*rule
	counts map[registry.OpKind]int
	total  int
}

var _ registry.Interceptor = (*Faults)(nil).Intercept

// rule applies to the next left operations of some kinds, or to all of them if left is negative.
type rule struct {
	kinds   []registry.OpKind
	left    int
	err     error
	perform bool
	wait    func(ctx context.Context) error
}

// Fail makes the next n operations of the kinds fail with err before they do anything. If n is
// negative, all later operations fail.
func (f *Faults) Fail(n int, err error, kinds ...registry.OpKind) {
	f.add(&rule{kinds: kinds, left: n, err: err})
}

// LoseResponse makes the next n operations of the kinds fail with err after they were performed,
// as if the response were lost. If n is negative, all later operations fail.
func (f *Faults) LoseResponse(n int, err error, kinds ...registry.OpKind) {
	f.add(&rule{kinds: kinds, left: n, err: err, perform: true})
}

// Delay makes all later operations of the kinds wait for d before they start. An operation whose
// context ends first fails with the error of the context.
func (f *Faults) Delay(d time.Duration, kinds ...registry.OpKind) {
	f.add(&rule{kinds: kinds, left: -1, perform: true, wait: func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		return waitFor(ctx, timer.C)
	}})
}

// Block makes the next operation of the kinds wait. The channel is closed when an operation has
// arrived. Calling release lets it continue; call release exactly once.
func (f *Faults) Block(kinds ...registry.OpKind) (arrived <-chan struct{}, release func()) {
	in, out := make(chan struct{}), make(chan struct{})
	f.add(&rule{kinds: kinds, left: 1, perform: true, wait: func(ctx context.Context) error {
		close(in)
		return waitFor(ctx, out)
	}})
	return in, func() { close(out) }
}

func waitFor[T any](ctx context.Context, c <-chan T) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Count returns the number of operations of the kinds that have started, including failed ones.
func (f *Faults) Count(kinds ...registry.OpKind) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(kinds) == 0 {
		return f.total
	}
	n := 0
	for _, k := range kinds {
		n += f.counts[k]
	}
	return n
}

// Heal removes all rules. Counts stay.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

func (f *Faults) add(r *rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, r)
}

// admit counts an operation and returns the rules that apply to it.
func (f *Faults) admit(kind registry.OpKind) (apply []*rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counts == nil {
		f.counts = make(map[registry.OpKind]int)
	}
	f.counts[kind]++
	f.total++
	for _, r := range f.rules {
		if r.left == 0 || len(r.kinds) > 0 && !slices.Contains(r.kinds, kind) {
			continue
		}
		if r.left > 0 {
			r.left--
		}
		apply = append(apply, r)
	}
	return apply
}

// Intercept implements [registry.Interceptor].
func (f *Faults) Intercept(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
	var lost error
	for _, r := range f.admit(op.Kind) {
		if r.wait != nil {
			if err := r.wait(ctx); err != nil {
				return err
			}
		}
		switch {
		case r.err == nil:
		case !r.perform:
			return r.err
		default:
			lost = r.err
		}
	}
	if err := next(ctx); err != nil {
		return err
	}
	return lost
}
