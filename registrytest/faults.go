package registrytest

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/registry"
)

// Faults makes chosen operations of a registry fail or wait, and counts them. The zero Faults lets
// everything pass. Its method Intercept is for [registry.Options] or [registry.Intercept]:
//
//	var faults registrytest.Faults
//	s := registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{faults.Intercept}})
//	faults.Fail(1, registry.ErrUnavailable, registry.OpPutManifest)
//
// An operation may be one of an upload: see the kinds of [registry.Op]. Wherever kinds are given,
// none means all. It is safe for concurrent use.
type Faults struct {
	mu     sync.Mutex
	rules  []*rule
	counts map[registry.OpKind]int
	total  int
}

var _ registry.Interceptor = (*Faults)(nil).Intercept

// rule is what becomes of the next left operations of some kinds; of all that follow if left is
// negative.
type rule struct {
	kinds   []registry.OpKind
	left    int
	err     error
	perform bool
	wait    func(ctx context.Context) error
}

// Fail lets the next n operations of the kinds fail with err and do nothing; a negative n means all
// from now on.
func (f *Faults) Fail(n int, err error, kinds ...registry.OpKind) {
	f.add(&rule{kinds: kinds, left: n, err: err})
}

// LoseAnswer lets the next n operations of the kinds be performed and yet fail with err; a negative
// n means all from now on.
func (f *Faults) LoseAnswer(n int, err error, kinds ...registry.OpKind) {
	f.add(&rule{kinds: kinds, left: n, err: err, perform: true})
}

// Delay lets all operations of the kinds begin only after d, or fail when their context ends
// before.
func (f *Faults) Delay(d time.Duration, kinds ...registry.OpKind) {
	f.add(&rule{kinds: kinds, left: -1, perform: true, wait: func(ctx context.Context) error {
		timer := time.NewTimer(d)
		defer timer.Stop()
		return waitFor(ctx, timer.C)
	}})
}

// Block lets the next operation of the kinds wait. It returns a channel that is closed when one has
// come so far, and a function, to be called once, that lets it go on.
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

// Count returns how many operations of the kinds have begun, those that failed included.
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

// Heal lets everything pass again. Counts stay.
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

// Intercept is a [registry.Interceptor].
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
