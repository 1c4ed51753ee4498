package htpasswd

import (
	"context"
	"errors"
	"sync"
)

// maxProven is how many credentials are remembered, in each of two halves.
const maxProven = 10_000

// mac is an HMAC of credentials, of the address they came from, and of the line they were checked
// against.
type mac [32]byte

// proven remembers credentials that were right. When the younger half is full, the older is
// forgotten: what is used comes back into the younger.
type proven struct {
	mu         sync.Mutex
	young, old map[mac]struct{}
}

func (p *proven) has(m mac) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.young[m]; ok {
		return true
	}
	_, ok := p.old[m]
	if ok {
		p.put(m)
	}
	return ok
}

func (p *proven) add(m mac) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(m)
}

func (p *proven) put(m mac) {
	if len(p.young) >= maxProven {
		p.old, p.young = p.young, nil
	}
	if p.young == nil {
		p.young = make(map[mac]struct{})
	}
	p.young[m] = struct{}{}
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

// errGivenUp is the error of a flight whose pilot's client has gone.
var errGivenUp = errors.New("htpasswd: the request was given up")

// do returns what work returns, called by this caller or another who is in it at the moment. If
// that one gives up, the work is begun anew.
func (f *flights) do(ctx context.Context, m mac, work func(ctx context.Context) error) error {
	for {
		f.mu.Lock()
		other := f.flying[m]
		if other == nil {
			own := &flight{done: make(chan struct{}), err: errGivenUp}
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
			if !errors.Is(other.err, errGivenUp) {
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
