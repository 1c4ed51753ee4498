package registry

import (
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/registrykit/registry/internal/copybuf"
)

const (
	// minSendfile is the minimum number of bytes of a file that are sent by sendfile(2). Fewer
	// bytes are copied, which takes fewer system calls.
	minSendfile = 16 << 10
	// sendPiece is the maximum number of bytes of a file that are sent by one call of ReadFrom. The
	// client's deadline can move only between pieces.
	sendPiece = 1 << 20
)

// contentWriter sends a blob, or parts of it, as the body of a response. It sends the header with
// the first bytes and not before, so that a blob that cannot be opened still gets an error
// response.
type contentWriter struct {
	*pacedWriter
	buffers *copybuf.Pool
	from    io.ReadSeekCloser // the blob
	at      int64             // position of the next byte to send
	real    int64             // position of from; -1 if it is not known
	until   int64             // where the present part ends; 0 if the whole blob is sent
	failure error             // why reading failed; nil if it has not
	status  int
	sent    bool  // the header
	want    int64 // bytes that the body must have
	written int64 // bytes of the body so far
}

// send sends the header if it has not been sent.
func (w *contentWriter) send() {
	if !w.sent {
		w.sent = true
		w.pacedWriter.WriteHeader(w.status)
	}
}

// Write sends bytes of the body.
func (w *contentWriter) Write(p []byte) (int, error) {
	w.send()
	n, err := w.pacedWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// sendPart sends a part of the blob. If the blob is in files and the connection is plain TCP, the
// kernel copies the bytes.
//
// Errors: an error of the client, or of the blob; io.ErrUnexpectedEOF if the blob is too short.
func (w *contentWriter) sendPart(p part) error {
	w.at = p.first
	source, hasFiles := w.from.(FileSource)
	to, takesFiles := w.ResponseWriter.(io.ReaderFrom)
	for w.at < p.end {
		n := p.end - w.at
		if hasFiles && takesFiles && n >= minSendfile {
			rest, err := w.sendFile(to, source, n)
			if err != nil {
				return err
			}
			n = rest
		}
		if err := w.copy(n); err != nil {
			return err
		}
	}
	return nil
}

// align moves the blob to the position of the next byte to send. It also announces where the part
// ends, so that a storage on the network fetches no more than the part.
func (w *contentWriter) align() error {
	if w.real == w.at {
		return nil
	}
	at, err := w.from.Seek(w.at, io.SeekStart)
	if err != nil {
		return w.fail(err)
	}
	w.real = at
	if u, ok := w.from.(interface{ Until(end int64) }); ok && w.until > 0 {
		u.Until(w.until)
	}
	return nil
}

// fail notes why reading the blob failed.
func (w *contentWriter) fail(err error) error {
	w.failure = errors.Join(w.failure, err)
	return err
}

// sendFile sends up to n of the next bytes by to.ReadFrom if they come from a file. The kernel then
// copies them, by sendfile(2). It sends no more than one file has. rest is the number of bytes
// after them that come from no file: the caller copies these before it calls sendFile again.
func (w *contentWriter) sendFile(to io.ReaderFrom, s FileSource, n int64) (rest int64, err error) {
	if err := w.align(); err != nil {
		return 0, err
	}
	source, size, err := s.Source()
	if err != nil {
		return 0, w.fail(err)
	}
	if size <= 0 {
		return n, nil // a Read says what is wrong
	}
	n = min(n, size)
	if _, ok := source.(syscall.Conn); !ok || n < minSendfile {
		return n, nil
	}
	w.send()
	w.real = -1 // ReadFrom moves the file without the knowledge of the blob
	for n > 0 {
		piece := min(n, sendPiece)
		w.pace.add(piece)
		w.pace.begin()
		sent, err := to.ReadFrom(&io.LimitedReader{R: source, N: piece})
		w.pace.end()
		w.at += sent
		w.written += sent
		n -= sent
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			return 0, w.fail(err) // reading the file failed, and not sending
		}
		if err != nil || sent < piece {
			return n, err // without an error, the file is too short
		}
	}
	return 0, nil
}
