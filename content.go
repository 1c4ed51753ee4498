package registry

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// unknownTime makes http.ServeContent omit Last-Modified: content has a digest and no time.
var unknownTime time.Time

// content is a blob in the form that http.ServeContent reads. It returns the size without a request
// to the storage, and remembers why reading failed. For several ranges, http.ServeContent reads in
// a goroutine that may outlive its call; after close, content reads nothing more.
type content struct {
	size  int64
	parts []part // the parts that will be read, in ascending order; nil if all is read

	mu   sync.Mutex
	from io.ReadSeekCloser
	at   int64 // position of the next Read
	real int64 // position of from
	err  error
}

var errContentClosed = errors.New("registry: blob is closed")

// Seek implements [io.Seeker]. The blob itself moves at the next Read.
func (b *content) Seek(offset int64, whence int) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += b.at
	case io.SeekEnd:
		offset += b.size
	}
	b.at = offset
	return offset, nil
}

// Read implements [io.Reader].
func (b *content) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.align(); err != nil {
		return 0, b.fail(err)
	}
	n, err := b.from.Read(p)
	b.at += int64(n)
	b.real = b.at
	return n, b.fail(err)
}

// await waits until the next Read does not have to wait for bytes that have not come yet. If that
// takes time, it calls idle first.
func (b *content) await(idle func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a, ok := b.from.(interface{ Await(idle func()) }); ok && b.align() == nil {
		a.Await(idle)
	}
}

// align moves the blob to the position of the next Read. It also announces where the part at this
// position ends, so that a storage on the network fetches no more than the part.
func (b *content) align() error {
	if b.from == nil {
		return errContentClosed
	}
	if b.real == b.at {
		return nil
	}
	at, err := b.from.Seek(b.at, io.SeekStart)
	b.real = at
	if u, ok := b.from.(interface{ Until(end int64) }); ok && err == nil {
		for i, p := range b.parts {
			if p.first <= at && at < p.end {
				u.Until(p.end)
				b.parts = b.parts[i:]
				break
			}
		}
	}
	return err
}

func (b *content) fail(err error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = errors.Join(b.err, err)
	}
	return err
}

// sendPart sends up to n of the next bytes by to.ReadFrom if they come from a file. The kernel then
// copies them, by sendfile(2). It sends no more than one file has. copied is the number of bytes
// that come from no file: the caller copies them, and calls sendPart again for what follows.
func (b *content) sendPart(w *contentWriter, to io.ReaderFrom, n int64) (sent, copied int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.from.(FileSource)
	if !ok {
		return 0, n, nil
	}
	if err := b.align(); err != nil {
		return 0, 0, b.fail(err)
	}
	source, size, err := s.Source()
	if err != nil {
		return 0, 0, b.fail(err)
	}
	if _, ok := source.(syscall.Conn); !ok || size <= 0 {
		if size <= 0 {
			size = n // a Read says what is wrong
		}
		return 0, min(n, size), nil
	}
	n = min(n, size)
	w.send()
	for sent < n && err == nil {
		piece := min(n-sent, sendPiece)
		w.pace.add(piece)
		w.pace.begin()
		var m int64
		m, err = to.ReadFrom(&io.LimitedReader{R: source, N: piece})
		w.pace.end()
		if sent += m; m < piece {
			break
		}
	}
	b.at += sent
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		_ = b.fail(err) // reading the file failed, and not sending
	}
	// ReadFrom has moved the file without the knowledge of the blob.
	b.real = -1
	if err == nil && sent < n {
		copied = n - sent // the file is too short
	}
	return sent, copied, err
}

// failure returns why reading failed, or nil.
func (b *content) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *content) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.from != nil {
		_ = b.from.Close() // the response does not depend on it any more
		b.from = nil
	}
}

// contentWriter is the http.ResponseWriter for http.ServeContent. It sends the header with the
// first bytes and not before, so that a blob that cannot be opened still gets an error response. It
// never sends the error pages of http.ServeContent.
type contentWriter struct {
	*pacedWriter
	buffers *copyBuffers
	size    int64 // of the blob
	status  int
	sent    bool  // the header
	want    int64 // bytes that the body must have
	written int64 // bytes of the body so far
}

// sendPiece is the maximum number of bytes of a file that are sent by one call of ReadFrom. The
// client's deadline can move only between pieces.
const sendPiece = 1 << 20

// WriteHeader records the status and the length of the body. It reads the length from the header
// now, because middleware that compresses the body may remove the header later. If middleware has
// set Content-Encoding, http.ServeContent sets no length, and the body is the whole blob.
func (w *contentWriter) WriteHeader(status int) {
	w.status, w.want = status, w.size
	if n, ok := parseDigits(w.Header().Get("Content-Length")); ok {
		w.want = n
	}
}

func (w *contentWriter) send() {
	if !w.sent {
		w.sent = true
		w.pacedWriter.WriteHeader(w.status)
	}
}

// Write sends a part of the body.
func (w *contentWriter) Write(p []byte) (int, error) {
	if w.status >= 400 {
		return len(p), nil
	}
	w.send()
	n, err := w.pacedWriter.Write(p)
	w.written += int64(n)
	return n, err
}

// ReadFrom sends what io.CopyN copies. http.ServeContent sends everything by io.CopyN.
func (w *contentWriter) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return w.copy(r)
	}
	b, isContent := limited.R.(*content)
	to, canReadFrom := w.pacedWriter.ResponseWriter.(io.ReaderFrom)
	if !isContent || !canReadFrom {
		return w.copy(limited)
	}
	total := int64(0)
	for limited.N > copyBuffer {
		sent, copied, err := b.sendPart(w, to, limited.N)
		w.written += sent
		limited.N -= sent
		total += sent
		if err != nil {
			return total, err
		}
		if copied == 0 {
			continue
		}
		n, err := w.copy(&io.LimitedReader{R: b, N: copied})
		limited.N -= n
		if total += n; err != nil || n < copied {
			return total, err
		}
	}
	n, err := w.copy(limited)
	return total + n, err
}
