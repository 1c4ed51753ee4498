// Package parts uploads a body in parts, with bounded memory. The providers for S3 and Azure share
// it.
package parts

import "sync"

const (
	// unpooled is the maximum size of a buffer that is not pooled, in bytes. Allocating such a
	// buffer costs next to nothing.
	unpooled = 512 << 10
	// unit divides the capacity of every pooled buffer, in bytes, so that there are few capacities.
	unit = 1 << 20
	// maxSizes is the maximum number of capacities for which pools are kept.
	maxSizes = 32
)

// Memory pools buffers for parts. It also limits the bytes of the parts that are sent while their
// uploads fill the next part. All uploads of a provider share it. The garbage collector may free
// pooled buffers.
type Memory struct {
	mu   sync.Mutex
	left int64                // bytes that may still be reserved
	free map[int64]*sync.Pool // by capacity
}

// DefaultReadAhead is the default of Options.ReadAhead of each provider, in bytes.
const DefaultReadAhead = 64 << 20

// NewMemory returns a Memory that allows readAhead bytes to be sent while the next parts are
// filled. Zero means DefaultReadAhead. A negative number means none.
func NewMemory(readAhead int64) *Memory {
	if readAhead == 0 {
		readAhead = DefaultReadAhead
	}
	return &Memory{left: max(readAhead, 0), free: map[int64]*sync.Pool{}}
}

// get returns a buffer of size bytes.
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

// put returns a buffer to its pool.
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

// reserve reserves memory for a part that is sent while the next part is filled. It reports whether
// there was enough.
func (m *Memory) reserve(size int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size > m.left {
		return false
	}
	m.left -= size
	return true
}

// release returns memory that reserve has reserved.
func (m *Memory) release(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left += size
}
