// Package parts uploads what is read from a body in parts, with bounded memory. The providers for S3 and Azure share it.
package parts

import "sync"

const (
	// smallBuffer is the size of the buffer that an upload begins with, in bytes.
	smallBuffer = 32 << 10
	// middleBuffer is the size of the one that follows if that is full and the part is larger.
	middleBuffer = 512 << 10
	// maxFree is how many bytes of buffers are kept for the next uploads.
	maxFree = 64 << 20
)

// Memory lends buffers for parts, and counts what is on its way to the store beside what is being filled. Uploads share it.
type Memory struct {
	mu   sync.Mutex
	left int64 // may still be on its way
	free [][]byte
	kept int64 // bytes in free
}

// NewMemory returns a Memory that allows readAhead bytes to be on their way while the next are filled.
func NewMemory(readAhead int64) *Memory { return &Memory{left: max(readAhead, 0)} }

// get returns a buffer of a size.
func (m *Memory) get(size int64) []byte {
	if size <= middleBuffer {
		return make([]byte, size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.free) - 1; i >= 0; i-- {
		if buf := m.free[i]; int64(len(buf)) == size {
			m.free[i] = m.free[len(m.free)-1]
			m.free = m.free[:len(m.free)-1]
			m.kept -= size
			return buf
		}
	}
	return make([]byte, size)
}

// put takes a buffer back. Those of sizes that are not asked for any more make room for it.
func (m *Memory) put(buf []byte) {
	size := int64(cap(buf))
	if size <= middleBuffer || size > maxFree {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.kept+size > maxFree {
		m.kept -= int64(len(m.free[0]))
		m.free = m.free[1:]
	}
	m.free = append(m.free, buf[:size])
	m.kept += size
}

// ahead reserves memory for a part that is sent while the next is filled, and reports whether there is any.
func (m *Memory) ahead(size int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size > m.left {
		return false
	}
	m.left -= size
	return true
}

// done gives back what ahead has reserved.
func (m *Memory) done(size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left += size
}
