// Package copybuf lends buffers for copying.
package copybuf

import (
	"sync"
	"sync/atomic"
)

// Pool lends large buffers, up to a maximum number at a time, and small ones beyond that. A buffer
// is in use for as long as a client takes to send or accept its bytes, so slow clients could
// otherwise use much memory.
type Pool struct {
	largeSize, smallSize, maxLarge int

	large, small sync.Pool    // of *[]byte
	lent         atomic.Int64 // the number of large buffers in use
}

// New returns a Pool of buffers of the given sizes in bytes, with at most maxLarge large ones in use
// at a time.
func New(largeSize, smallSize, maxLarge int) *Pool {
	return &Pool{largeSize: largeSize, smallSize: smallSize, maxLarge: maxLarge}
}

// Get returns a buffer, and a function that gives it back. done must be called once. The buffer is
// lent again only if reuse is true: nothing may read or write the buffer any more. That is not so
// after a Write has failed, because an HTTP/2 server may still send from the buffer, and would send
// the bytes of another request.
func (p *Pool) Get() (buf []byte, done func(reuse bool)) {
	if p.lent.Add(1) <= int64(p.maxLarge) {
		b := get(&p.large, p.largeSize)
		return *b, func(reuse bool) {
			if reuse {
				p.large.Put(b)
			}
			p.lent.Add(-1)
		}
	}
	p.lent.Add(-1)
	b := get(&p.small, p.smallSize)
	return *b, func(reuse bool) {
		if reuse {
			p.small.Put(b)
		}
	}
}

// get returns a buffer of the pool, or a new one.
func get(pool *sync.Pool, size int) *[]byte {
	if b, ok := pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, size)
	return &b
}
