package parts

import (
	"errors"
	"io"
)

const (
	// firstBuffer is the size of the first buffer of an upload, in bytes.
	firstBuffer = 32 << 10
	// growth is the factor by which the buffer of the first part grows.
	growth = 4
)

// filler reads a body part by part.
type filler struct {
	m    *Memory
	body io.Reader
	size int64 // of a part
	hint int64 // the declared size of the body; 0 means unknown

	buffer int64   // the size of the first buffer of the next part
	next   [1]byte // read ahead to find out whether the body goes on
	peeked bool
}

func newFiller(m *Memory, body io.Reader, size, hint int64) *filler {
	f := &filler{m: m, body: body, size: size, hint: hint}
	f.buffer = f.bounded(0, firstBuffer)
	return f
}

// bounded returns the size of a buffer that follows a buffer of have bytes. It returns next,
// limited to the size of a part. The hint limits it too, until the body turns out to be longer than
// the hint. A hint makes buffers smaller but never larger, because the client declares it and may
// lie.
func (f *filler) bounded(have, next int64) int64 {
	next = min(next, f.size)
	if f.hint > have {
		next = min(next, f.hint)
	}
	return next
}

// fill reads a part into a buffer and reports whether the body goes on after it. The buffer of the
// first part grows with the bytes received, and is at most four times as large.
func (f *filler) fill() (part []byte, more bool, err error) {
	buf := f.m.get(f.buffer)
	n := 0
	if f.peeked {
		buf[0], n, f.peeked = f.next[0], 1, false
	}
	for {
		read, err := io.ReadFull(f.body, buf[n:])
		n += read
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return buf[:n], false, nil
		}
		if err == nil {
			_, err = io.ReadFull(f.body, f.next[:])
			if errors.Is(err, io.EOF) {
				return buf[:n], false, nil
			}
			f.peeked = err == nil
		}
		if err != nil {
			f.m.put(buf)
			return nil, false, err
		}
		if int64(n) == f.size {
			f.buffer = f.size
			return buf, true, nil
		}
		larger := f.m.get(f.bounded(int64(n), growth*int64(n)))
		n = copy(larger, buf)
		f.m.put(buf)
		larger[n], f.peeked = f.next[0], false
		n++
		buf = larger
	}
}
