package fill

import (
	"container/heap"
	"sync"
)

// windowBlocks is the maximum number of blocks that a fill holds in memory: one that is filled, one
// that is appended to the upload meanwhile, and one for readers that are a little behind.
const windowBlocks = 3

// block is a part of a blob in memory.
type block struct {
	start int64 // position of the first byte in the blob
	n     int   // the number of bytes that have come
	buf   []byte
}

// end returns the position after the last byte that has come.
func (b *block) end() int64 { return b.start + int64(b.n) }

// window holds the newest bytes of a blob. Its blocks follow each other without a gap. The lock of
// the fill guards it, with one exception: the pump writes the bytes after block.n without the lock,
// because nobody else looks at them before the pump has counted them in block.n.
type window struct {
	blocks []*block
	base   int64 // the position at which the window begins if it has no blocks
}

// end returns the position after the newest byte.
func (w *window) end() int64 {
	if len(w.blocks) == 0 {
		return w.base
	}
	return w.blocks[len(w.blocks)-1].end()
}

// reset makes the window empty. The next byte is the one at base.
func (w *window) reset(base int64) { w.blocks, w.base = nil, base }

// at returns the bytes from pos on that are in the same block, or nil if the window does not have
// the byte at pos. full reports whether they fill the block.
func (w *window) at(pos int64) (p []byte, full bool) {
	for _, b := range w.blocks {
		if b.start <= pos && pos < b.end() {
			return b.buf[pos-b.start : b.n], b.n == len(b.buf)
		}
	}
	return nil, false
}

// free returns the free part of the last block. If that block is full, it begins another one of the
// given size, in the memory of the oldest block if there are windowBlocks. The upload has the bytes
// before stored. Unless it has all blocks but the last one, free returns nil: a process that dies
// then loses at most two blocks.
func (w *window) free(stored int64, size int) []byte {
	next, buf := w.end(), []byte(nil)
	if n := len(w.blocks); n > 0 {
		last := w.blocks[n-1]
		if last.n < len(last.buf) {
			return last.buf[last.n:]
		}
		if stored < last.start {
			return nil
		}
		if n == windowBlocks {
			buf = w.blocks[0].buf
			w.blocks = append(w.blocks[:0], w.blocks[1:]...)
		}
	}
	if len(buf) < size {
		buf = make([]byte, size)
	}
	w.blocks = append(w.blocks, &block{start: next, buf: buf[:size]})
	return buf[:size]
}

// advance counts n more bytes, which the pump has written to the result of free.
func (w *window) advance(n int) { w.blocks[len(w.blocks)-1].n += n }

// waiter is a reader that waits for the byte at pos.
type waiter struct {
	pos   int64
	ready chan struct{} // closed when it is worth looking again
	index int           // in waiters, or -1
}

// waiters are the waiting readers of a fill, ordered by position. So a byte that arrives wakes the
// readers that want it, and no others.
type waiters []*waiter

var _ heap.Interface = (*waiters)(nil)

// Len implements [heap.Interface].
func (w waiters) Len() int { return len(w) }

// Less implements [heap.Interface].
func (w waiters) Less(i, j int) bool { return w[i].pos < w[j].pos }

// Swap implements [heap.Interface].
func (w waiters) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

// Push implements [heap.Interface].
func (w *waiters) Push(x any) {
	e := x.(*waiter)
	e.index = len(*w)
	*w = append(*w, e)
}

// Pop implements [heap.Interface].
func (w *waiters) Pop() any {
	last := len(*w) - 1
	e := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	e.index = -1
	return e
}

// add adds a reader that waits for the byte at pos.
func (w *waiters) add(pos int64) *waiter {
	e := &waiter{pos: pos, ready: make(chan struct{})}
	heap.Push(w, e)
	return e
}

// remove removes a reader that waits no longer.
func (w *waiters) remove(e *waiter) {
	if e.index >= 0 {
		heap.Remove(w, e.index)
	}
}

// wake wakes the readers that wait for a byte before end.
func (w *waiters) wake(end int64) {
	for len(*w) > 0 && (*w)[0].pos < end {
		close(heap.Pop(w).(*waiter).ready)
	}
}

// signal wakes goroutines that wait for any change.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that is closed at the next change. The caller gets it before it looks at
// what may change.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// notify announces a change.
func (s *signal) notify() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
