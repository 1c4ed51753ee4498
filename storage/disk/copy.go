//go:build linux || darwin

package disk

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
)

const (
	bufferSize      = 128 << 10 // bytes of a buffer
	smallBufferSize = 16 << 10  // bytes of the buffers beyond maxBuffers
	maxBuffers      = 64        // large buffers in use at a time, see copybuf.Pool

	copySize = 64 << 20 // bytes that the kernel copies between two checks of the context
	// earlySize is the number of bytes of a body whose writing to the disk starts before its end.
	// So the disk works while the client sends, and the sync at the end has less to wait for.
	earlySize = 8 << 20
)

// copyBody writes body to a temporary file.
func (d *Driver) copyBody(ctx context.Context, t *tempFile, body io.Reader) error {
	switch b := body.(type) {
	case nil:
		return nil
	case *bytes.Reader, *bytes.Buffer, *strings.Reader: // in memory: one write
		_, err := b.(io.WriterTo).WriteTo(t)
		return err
	case *os.File: // the kernel copies, or even shares the blocks
		for {
			n, err := t.osFile().ReadFrom(io.LimitReader(b, copySize))
			if err == nil {
				err = ctx.Err()
			}
			if n < copySize || err != nil {
				return err
			}
		}
	}
	buf, done := d.buffers.Get()
	defer done(true) // a write to a file has ended when it returns
	for at, early := int64(0), int64(0); ; {
		n, rerr := fill(ctx, body, buf)
		if n > 0 {
			if _, err := t.Write(buf[:n]); err != nil {
				return err
			}
			at += int64(n)
		}
		if rerr == io.EOF {
			return nil
		}
		if rerr != nil {
			return rerr
		}
		if at-early >= earlySize && d.fsync != nil {
			startWriteback(t.fd, early, at-early)
			early = at
		}
	}
}

// fill reads from r until buf is full, or r or ctx ends. The parts in which a body arrives are
// small and have odd sizes, in chunked encoding about every second one has 4 KiB. The kernel takes
// longer for writes of such parts, which begin and end within a page.
//
// Errors: of r, io.EOF also after some bytes; of ctx.
func fill(ctx context.Context, r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		if err = ctx.Err(); err != nil {
			return n, err
		}
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}
