package htpasswd

import (
	"context"
	"errors"
	"sync"
)

// maxVerified is how many credentials are remembered, in each of two halves.
const maxVerified = 10_000

// mac is an HMAC of credentials, of the address they came from, and of the line they were checked
// against.
type mac [32]byte

// verified remembers credentials that were right. When the younger half is full, the older is
// forgotten: what is used comes back into the younger.
type verified struct {
	mu         sync.Mutex
	young, old map[mac]struct{}
}

func (v *verified) has(m mac) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.young[m]; ok {
		return true
	}
	_, ok := v.old[m]
	if ok {
		v.put(m)
	}
	return ok
}

func (v *verified) add(m mac) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.put(m)
}

func (v *verified) put(m mac) {
	if len(v.young) >= maxVerified {
		v.old, v.young = v.young, nil
	}
	if v.young == nil {
		v.young = make(map[mac]struct{})
	}
	v.young[m] = struct{}{}
}

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
