package registry

import (
	"errors"
	"io"
)

const (
	copyBuffer      = 64 << 10 // bytes of a buffer for copying to a client
	smallCopyBuffer = 8 << 10  // bytes of the buffers beyond maxCopyBuffers
	maxCopyBuffers  = 64       // large buffers in use at a time, see copybuf.Pool
)

// copy copies the next n bytes of the blob to the client. It takes a buffer only when there is
// something to copy.
//
// Errors: as sendPart.
func (w *contentWriter) copy(n int64) error {
	for n > 0 {
		if err := w.align(); err != nil {
			return err
		}
		if a, ok := w.from.(interface{ Await(idle func()) }); ok {
			a.Await(w.flush)
		}
		m, err := w.copySome(n)
		n -= m
		if err != nil {
			return err
		}
	}
	return nil
}

// copySome copies what one Read returns, and at most n bytes.
func (w *contentWriter) copySome(n int64) (int64, error) {
	buf, done := w.buffers.Get()
	sent := true
	defer func() { done(sent) }()
	m, err := w.from.Read(buf[:min(n, int64(len(buf)))])
	w.at += int64(m)
	w.real = w.at
	if err != nil && !errors.Is(err, io.EOF) {
		_ = w.fail(err)
	}
	if m > 0 {
		if _, werr := w.Write(buf[:m]); werr != nil {
			sent = false
			return int64(m), werr
		}
	}
	if errors.Is(err, io.EOF) {
		if err = nil; int64(m) < n {
			err = io.ErrUnexpectedEOF
		}
	}
	return int64(m), err
}

// flush sends what was written, before the next bytes take time.
func (w *contentWriter) flush() {
	if w.sent {
		w.pace.begin()
		_ = w.pace.rc.Flush() // the next write finds out if the client is gone
		w.pace.end()
	}
}
