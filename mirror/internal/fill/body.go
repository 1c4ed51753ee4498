package fill

import (
	"context"
	"errors"
	"hash/maphash"
	"io"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// body reads a blob that is being filled. It takes each byte from where it is: from memory, from the
// upload, at the end from the store, or straight from the upstream if the bytes are not stored. It
// holds no memory while it waits, and no lock while its caller does something else.
type body struct {
	ctx    context.Context
	fill   *fill
	source Source
	size   int64 // of the blob
	pos    int64
	want   int64 // where the part that the caller reads ends, see Until; 0 if that is not known
	got    track
	closed bool
	// The caller has read the bytes from the position from on, without a gap. sum is a hash of these
	// bytes. files reports that some of them were read by Source, so sum is useless.
	from  int64
	files bool
	sum   maphash.Hash

	// open reads the upload or the store from pos on, up to end; nil if neither is open. older is the
	// state of the upload that it reads, or nil.
	open  io.ReadSeekCloser
	end   int64
	older storage.Snapshot
	// stale is a state of the upload whose bytes are gone, because the store has merged them.
	stale storage.Snapshot
	// straight reads from the upstream; nil unless the fill has given up storing.
	straight *stream
}

var _ registry.FileSource = (*body)(nil)

// errBodyClosed is returned by a Read after Close.
var errBodyClosed = errors.New("fill: the body is closed")

// newBody returns a reader of a blob of size bytes. It counts among the readers of the fill until
// Close.
func newBody(ctx context.Context, fl *fill, source Source, size int64) *body {
	return &body{ctx: ctx, fill: fl, source: source, size: size}
}

// Read implements [io.Reader]. It waits for bytes that have not come yet.
//
// Errors: the error of the fill; the cause of the context of Open.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.read(p)
	b.pos += int64(n)
	b.got.far = max(b.got.far, b.pos)
	if b.straight == nil {
		b.sum.Write(p[:n])
	}
	return n, err
}

// read is Read, without the move of the position.
func (b *body) read(p []byte) (int, error) {
	for {
		switch {
		case b.closed:
			return 0, errBodyClosed
		case b.pos >= b.size:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		case b.straight != nil:
			return b.straight.Read(p)
		case b.open != nil:
			if n, err := b.readOpen(p); n > 0 || err != nil {
				return n, err
			}
		}
		changed := b.fill.updated.wait()
		v, err := b.fill.look(b.pos, p, &b.got)
		switch {
		case errors.Is(err, errUnstored):
			err = b.turn()
		case err != nil:
			return 0, err
		case v.place == inMemory:
			return v.n, nil
		case v.place == nowhere:
			err = b.fill.wait(b.ctx, b.pos)
		case v.place == inUpload && v.older == b.stale:
			err = await(b.ctx, changed)
		default:
			err = b.openAt(v)
		}
		if err != nil {
			return 0, err
		}
	}
}

// await waits for a signal.
//
// Errors: the cause of ctx.
func await(ctx context.Context, ch <-chan struct{}) error {
	select {
	case <-ch:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// readOpen reads from what is open. It closes that at its end and after an error. It returns neither
// bytes nor an error if the bytes are somewhere else now.
func (b *body) readOpen(p []byte) (int, error) {
	n, err := b.open.Read(p[:min(int64(len(p)), b.end-b.pos)])
	if err == io.EOF && b.pos+int64(n) < b.end {
		err = io.ErrUnexpectedEOF
	}
	if b.older != nil && errors.Is(err, driver.ErrNotExist) {
		b.stale, err = b.older, nil
		b.closeOpen()
	} else if err != nil || b.pos+int64(n) == b.end {
		b.closeOpen()
	}
	if n > 0 || err == io.EOF {
		err = nil
	}
	return n, err
}

// openAt opens the upload or the store at the position.
//
// Errors: those of the store.
func (b *body) openAt(v view) error {
	if v.place == inUpload {
		b.open, b.end, b.older = v.older.Open(b.ctx), v.end, v.older
	} else {
		blob, err := b.fill.fills.store.OpenBlob(b.ctx, b.fill.repo, b.fill.digest, nil)
		if err != nil {
			return err
		}
		b.open, b.end, b.older = blob.Body, b.size, nil
	}
	if _, err := b.open.Seek(b.pos, io.SeekStart); err != nil {
		b.closeOpen()
		return err
	}
	if u, ok := b.open.(interface{ Until(end int64) }); ok && b.want > b.pos {
		u.Until(min(b.want, b.end))
	}
	return nil
}

// turn reads straight from the upstream from now on. A reader of the first or the last bytes goes on only
// if the bytes that it has got are those that come now: the whole blob is then verified. A part in the
// middle is not.
//
// Errors: errMoved if that is not known.
func (b *body) turn() error {
	verify := b.from == 0 || b.want == 0 || b.want >= b.size
	if verify && b.files {
		return errMoved
	}
	b.straight = newStream(b.ctx, b.fill.fills, b.source, b.fill.digest, b.size)
	b.straight.pos, b.straight.want = b.pos, b.want
	if verify {
		b.straight.verify, b.straight.sent = true, sent{from: b.from, to: b.pos, hash: &b.sum}
	}
	return nil
}

// Await waits until the next Read does not have to wait, see registry.Blob. It needs no buffer.
func (b *body) Await(idle func()) {
	for !b.closed && b.pos < b.size && b.straight == nil && b.open == nil {
		v, err := b.fill.look(b.pos, nil, &b.got)
		if err != nil || v.place != nowhere {
			return
		}
		if idle != nil {
			idle()
			idle = nil
		}
		if b.fill.wait(b.ctx, b.pos) != nil {
			return
		}
	}
}

// Seek implements [io.Seeker]. It opens and checks nothing.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.size
	}
	if offset < 0 {
		return b.pos, errors.New("fill: seek before the start of a blob")
	}
	if offset == b.pos {
		return offset, nil
	}
	if !b.files || offset < b.pos { // otherwise the caller has read the reader that Source has returned
		b.from, b.files = offset, false
		b.sum.Reset()
	}
	b.pos, b.want = offset, 0
	b.closeOpen()
	if b.straight != nil {
		return b.straight.Seek(offset, io.SeekStart)
	}
	return offset, nil
}

// Until announces that the caller reads from the position up to end, and then moves elsewhere.
func (b *body) Until(end int64) {
	b.want = end
	if b.straight != nil {
		b.straight.Until(end)
	}
}

// sourcePart is the maximum number of bytes that a server copies before it asks for a file again.
const sourcePart = 1 << 20

// Source implements [registry.FileSource]. Bytes that are in the upload or in the store come from
// there. For others it is the body itself.
func (b *body) Source() (io.Reader, int64, error) {
	plain, n := struct{ io.Reader }{b}, min(sourcePart, max(0, b.size-b.pos))
	if b.closed || b.straight != nil || n == 0 {
		return plain, n, nil
	}
	v, err := b.fill.look(b.pos, nil, &b.got)
	if err != nil || v.place != inUpload && v.place != inStore || v.older != nil && v.older == b.stale {
		return plain, n, nil // Read returns the error
	}
	b.closeOpen()
	if err := b.openAt(v); err != nil {
		return nil, 0, err
	}
	file, ok := b.open.(registry.FileSource)
	if !ok {
		return plain, n, nil
	}
	r, part, err := file.Source()
	if err != nil {
		b.closeOpen() // Read tries again
		return plain, n, nil
	}
	part = min(part, b.end-b.pos)
	b.files, b.got.far = true, max(b.got.far, b.pos+part)
	return r, part, nil
}

// Close implements [io.Closer].
func (b *body) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	b.closeOpen()
	if b.straight != nil {
		_ = b.straight.Close()
	}
	b.fill.fills.leave(b.fill)
	return nil
}

// closeOpen closes what is open, if anything is.
func (b *body) closeOpen() {
	if b.open != nil {
		_ = b.open.Close() // it was only read
		b.open = nil
	}
}
