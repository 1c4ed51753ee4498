package object

import (
	"context"
	"sync"
)

// keyLocks lets writers in this process that conflict at a key go one after the other. It only
// saves requests: no decision depends on it, because other processes do not see it.
type keyLocks struct {
	mu   sync.Mutex
	keys map[string]*keyLock
}

type keyLock struct {
	free    chan struct{} // holds one element while the lock is free
	waiting int           // number of goroutines that hold the lock or wait for it
}

// lock waits for the lock of key, and returns a function that releases it. It returns the error of
// ctx if ctx ends first.
func (t *keyLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	t.mu.Lock()
	k := t.keys[key]
	if k == nil {
		k = &keyLock{free: make(chan struct{}, 1)}
		k.free <- struct{}{}
		t.keys[key] = k
	}
	k.waiting++
	t.mu.Unlock()
	release := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if k.waiting--; k.waiting == 0 {
			delete(t.keys, key)
		}
	}
	select {
	case <-k.free:
		return func() {
			k.free <- struct{}{}
			release()
		}, nil
	case <-ctx.Done():
		release()
		return nil, ctx.Err()
	}
}
