package s3

import "sync"

const (
	// smallBuffer is the size of the buffer that an upload begins with, in bytes.
	smallBuffer = 32 << 10
	// middleBuffer is the size of the one that follows if that is full and the part is larger.
	middleBuffer = 512 << 10
	// maxFree is how many bytes of buffers are kept for the next uploads.
	maxFree = 64 << 20
)

// buffers lends memory for parts, and counts what is on its way to the store beside what is being filled.
type buffers struct {
	mu   sync.Mutex
	left int64 // of Options.ReadAhead
	free [][]byte
	kept int64 // bytes in free
}

// get returns a buffer of a size.
func (b *buffers) get(size int64) []byte {
	if size <= middleBuffer {
		return make([]byte, size)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.free) - 1; i >= 0; i-- {
		if buf := b.free[i]; int64(len(buf)) == size {
			b.free[i] = b.free[len(b.free)-1]
			b.free = b.free[:len(b.free)-1]
			b.kept -= size
			return buf
		}
	}
	return make([]byte, size)
}

// put takes a buffer back. Those of sizes that are not asked for any more make room for it.
func (b *buffers) put(buf []byte) {
	size := int64(cap(buf))
	if size <= middleBuffer || size > maxFree {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.kept+size > maxFree {
		b.kept -= int64(len(b.free[0]))
		b.free = b.free[1:]
	}
	b.free = append(b.free, buf[:size])
	b.kept += size
}

// ahead reserves memory for a part that is sent while the next is filled, and reports whether there is any.
func (b *buffers) ahead(size int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if size > b.left {
		return false
	}
	b.left -= size
	return true
}

// done gives back what ahead has reserved.
func (b *buffers) done(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += size
}
