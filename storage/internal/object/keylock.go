package object

import (
	"context"
	"sync"
)

// turns lets those of one process who have got in each other's way at a key go on one after the
// other. Nothing is decided by it: other processes know nothing of it.
type keyLocks struct {
	mu   sync.Mutex
	keys map[string]*keyLock
}

type keyLock struct {
	free    chan struct{} // holds one while nobody has the turn
	waiting int           // who has it or wants it
}

// take waits for the turn, and returns how to give it back.
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
