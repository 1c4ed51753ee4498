// Package parts uploads what is read from a body in parts, with bounded memory. The providers for
// S3 and Azure share it.
package parts

import "sync"

const (
	// unpooled is the size up to which a buffer is not lent again, in bytes: it costs next to
	// nothing.
	unpooled = 512 << 10
	// unit is what the capacities of larger ones are multiples of, so that few are different.
	unit = 1 << 20
	// maxSizes is how many different capacities are remembered.
	maxSizes = 32
)

// Memory pools buffers for parts, and limits the parts that are sent while their uploads fill the
// next part. All uploads of a provider share it. The garbage collector may free pooled buffers.
type Memory struct {
	mu   sync.Mutex
	left int64                // may still be on its way
	free map[int64]*sync.Pool // by capacity
}

// DefaultReadAhead is the default of Options.ReadAhead of each provider, in bytes.
const DefaultReadAhead = 64 << 20

// NewMemory returns a Memory that allows readAhead bytes to be on their way while the next are
// filled. Zero means DefaultReadAhead, negative means none.
func NewMemory(readAhead int64) *Memory {
	if readAhead == 0 {
		readAhead = DefaultReadAhead
	}
	return &Memory{left: max(readAhead, 0), free: map[int64]*sync.Pool{}}
}

// get returns a buffer of a size.
func (m *Memory) get(size int64) []byte {
	if size <= unpooled {
		return make([]byte, size)
	}
	capacity := (size + unit - 1) / unit * unit
	if buf, ok := m.pool(capacity).Get().(*[]byte); ok {
		return (*buf)[:size]
	}
	return make([]byte, size, capacity)
}

// put takes a buffer back.
func (m *Memory) put(buf []byte) {
	if capacity := int64(cap(buf)); capacity > unpooled {
		m.pool(capacity).Put(&buf)
	}
}

func (m *Memory) pool(capacity int64) *sync.Pool {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.free[capacity]
	if p == nil {
		if len(m.free) == maxSizes {
			clear(m.free)
		}
		p = &sync.Pool{}
		m.free[capacity] = p
	}
	return p
}

// reserve reserves memory for a part that is sent while the next is filled, and reports whether there
// is any.
func (m *Memory) reserve(size int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size > m.left {
		return false
	}
	m.left -= size
	return true
}

// release gives back what reserve has reserved.
func (m *Memory) release(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left += size
}
