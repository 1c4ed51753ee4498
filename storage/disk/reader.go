//go:build linux || darwin

package disk

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"syscall"
)

// reader reads an object from its file. It is an *os.File without the system calls by which
// os.NewFile finds out that a regular file cannot be polled, and its reads move no position in the
// kernel.
//
// It is a [syscall.Conn], so that the kernel can copy the bytes to a connection (sendfile).
type reader struct {
	path string

	mu    sync.Mutex // keeps Close from releasing the descriptor during a read
	fd    int        // -1 once the reader is closed
	at    int64      // the position of the next read
	moved bool       // the position is that of the descriptor, because the kernel has sent bytes
}

// newReader returns a reader that owns fd and stands at the position at.
func newReader(fd int, path string, at int64) *reader { return &reader{path: path, fd: fd, at: at} }

// failed returns the error of an operation on the file.
func (r *reader) failed(op string, err error) error {
	return &fs.PathError{Op: op, Path: r.path, Err: err}
}

// Read implements [io.Reader].
func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.locate(); err != nil {
		return 0, err
	}
	for {
		n, err := syscall.Pread(r.fd, p, r.at)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, r.failed("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		r.at += int64(n)
		return n, nil
	}
}

// locate updates the position after the kernel has sent bytes.
func (r *reader) locate() error {
	if r.fd < 0 {
		return r.failed("read", fs.ErrClosed)
	}
	if !r.moved {
		return nil
	}
	at, err := syscall.Seek(r.fd, 0, io.SeekCurrent)
	if err != nil {
		return r.failed("seek", err)
	}
	r.at, r.moved = at, false
	return nil
}

// Seek implements [io.Seeker]. It makes no system call if whence is io.SeekStart.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if whence != io.SeekStart {
		if err := r.locate(); err != nil {
			return 0, err
		}
	}
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		var st syscall.Stat_t
		if err := fstat(r.fd, &st); err != nil {
			return 0, r.failed("seek", err)
		}
		offset += st.Size
	}
	if offset < 0 {
		return 0, r.failed("seek", fs.ErrInvalid)
	}
	r.at, r.moved = offset, false
	return offset, nil
}

// Close implements [io.Closer].
func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return r.failed("close", fs.ErrClosed)
	}
	err := syscall.Close(r.fd)
	r.fd = -1
	if err != nil && err != syscall.EINTR { // after EINTR the descriptor is released, too
		return r.failed("close", err)
	}
	return nil
}

// SyscallConn implements [syscall.Conn].
func (r *reader) SyscallConn() (syscall.RawConn, error) { return rawReader{r}, nil }

// rawReader is the descriptor of a reader.
type rawReader struct{ r *reader }

// Control implements [syscall.RawConn].
func (c rawReader) Control(f func(fd uintptr)) error {
	return c.Read(func(fd uintptr) bool {
		f(fd)
		return true
	})
}

// Read implements [syscall.RawConn]. It calls f until f returns true. The descriptor stands at the
// position of the next Read of the reader, and moves it.
func (c rawReader) Read(f func(fd uintptr) (done bool)) error {
	r := c.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return r.failed("read", fs.ErrClosed)
	}
	if !r.moved {
		if _, err := syscall.Seek(r.fd, r.at, io.SeekStart); err != nil {
			return r.failed("seek", err)
		}
		r.moved = true
	}
	for !f(uintptr(r.fd)) {
	}
	return nil
}

// Write implements [syscall.RawConn]. The file is not open for writing.
func (c rawReader) Write(func(fd uintptr) bool) error {
	return c.r.failed("write", errors.ErrUnsupported)
}
