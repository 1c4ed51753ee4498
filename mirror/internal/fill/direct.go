package fill

import (
	"context"
	"errors"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
)

// passes reports whether a request is for a small part that is passed through: its length is stated
// and at most Options.Direct, it does not begin near the start of the blob, as a client does that
// reads a blob in pieces, and no process fills the blob.
func (f *Fills) passes(ctx context.Context, r *Request) bool {
	if r.Range == nil || r.Range.Length < 0 || r.Range.Length > f.opts.Direct {
		return false
	}
	first, ok := start(r)
	if !ok || first < f.opts.Direct || r.Size >= 0 && first >= r.Size {
		return false
	}
	l := &lease{driver: f.driver, key: leaseKey(r.Repository, r.Digest)}
	if f.running(l.key) {
		return false
	}
	err := l.read(ctx)
	return errors.Is(err, driver.ErrNotExist) || err == nil && l.rec.Holder == ""
}

// start returns the position of the first byte of the part that a request is for. ok is false if
// that depends on the size of the blob, which is not known.
func start(r *Request) (first int64, ok bool) {
	switch {
	case r.Range == nil:
		return 0, true
	case r.Range.First >= 0:
		return r.Range.First, true
	}
	return max(0, r.Size-r.Range.Length), r.Size >= 0
}

// openPart returns a blob of which the caller reads the part r.Range. The part is requested at once.
//
// Errors: those of Source.FetchRange.
func (f *Fills) openPart(ctx context.Context, r *Request) (*registry.Blob, error) {
	s := newStream(ctx, f, r.Source, r.Digest, r.Size)
	s.pos, _ = start(r)
	s.want = s.pos + r.Range.Length
	if s.size >= 0 {
		s.want = min(s.want, s.size)
	}
	if err := s.accept(s.pos)(s.source.FetchRange(ctx, r.Digest, s.pos, s.want-s.pos)); err != nil {
		return nil, err
	}
	return f.blob(r, s.size, s), nil
}

// openDirect returns a blob that is not stored. A request from the first byte on is verified, see
// stream. It is sent at once, so that its errors are those of openDirect.
//
// Errors: those of Source.Fetch.
func (f *Fills) openDirect(ctx context.Context, r *Request) (*registry.Blob, error) {
	if first, ok := start(r); ok && first > 0 && r.Range.Length >= 0 {
		b, err := f.openPart(ctx, r)
		if !errors.Is(err, registry.ErrUnsupported) {
			return b, err
		}
	}
	s := newStream(ctx, f, r.Source, r.Digest, r.Size)
	s.verify = true
	if err := s.request(); err != nil {
		return nil, err
	}
	return f.blob(r, s.size, s), nil
}
