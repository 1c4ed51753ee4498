package registry

import (
	"io"
	"sync"
	"sync/atomic"
)

const (
	// copyBuffer is the size of a buffer for copying, in bytes. Content that fits into one is not
	// worth another system call for sendfile.
	copyBuffer = 64 << 10
	// smallCopyBuffer is the size of the buffers of all copies beyond maxCopyBuffers at a time.
	smallCopyBuffer = 8 << 10
	// maxCopyBuffers is the maximum number of large buffers in use. A buffer is in use for as long as
	// a client takes to accept its bytes, so slow clients could otherwise use much memory.
	maxCopyBuffers = 64
)

// copyBuffers are the buffers with which blobs are copied to clients.
type copyBuffers struct {
	large, small sync.Pool
	used         atomic.Int64 // the number of large buffers in use
}

// get returns a buffer, and a function that gives it back.
func (b *copyBuffers) get() (buf []byte, done func()) {
	if b.used.Add(1) <= maxCopyBuffers {
		p, ok := b.large.Get().(*[copyBuffer]byte)
		if !ok {
			p = new([copyBuffer]byte)
		}
		return p[:], func() {
			b.large.Put(p)
			b.used.Add(-1)
		}
	}
	b.used.Add(-1)
	p, ok := b.small.Get().(*[smallCopyBuffer]byte)
	if !ok {
		p = new([smallCopyBuffer]byte)
	}
	return p[:], func() { b.small.Put(p) }
}

// copy copies r to the client. It takes a buffer only when there is something to copy.
func (w *contentWriter) copy(r io.Reader) (int64, error) {
	total := int64(0)
	for {
		if limited, ok := r.(*io.LimitedReader); ok && limited.N > 0 {
			if b, ok := limited.R.(*content); ok {
				b.await(w.flush)
			}
		}
		n, err := w.copySome(r)
		total += n
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// copySome copies what one Read returns.
//
// Errors: io.EOF at the end of r; the error of r or of the client.
func (w *contentWriter) copySome(r io.Reader) (int64, error) {
	buf, done := w.buffers.get()
	defer done()
	n, err := r.Read(buf)
	if n > 0 {
		if m, werr := w.Write(buf[:n]); werr != nil {
			return int64(m), werr
		}
	}
	return int64(n), err
}

// flush sends what was written, before the next bytes take time.
func (w *contentWriter) flush() {
	if w.sent {
		w.pace.begin()
		_ = w.pace.rc.Flush() // the next write finds out if the client is gone
		w.pace.end()
	}
}
