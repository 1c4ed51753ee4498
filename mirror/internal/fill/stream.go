package fill

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/maphash"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// stream reads a blob straight from the upstream, and stores nothing.
//
// If verify is set, it reads the blob from its first byte on, whatever the position, and returns the
// last bytes only if the digest is right. Otherwise it requests the part that its caller reads, and
// the bytes are not verified.
type stream struct {
	ctx    context.Context
	fills  *Fills
	source Source
	digest digest.Digest
	size   int64 // of the blob, or -1 before the first response
	pos    int64
	want   int64 // where the part that the caller reads ends, or 0
	verify bool

	resp *Response // nil if nothing is open
	at   int64     // position of the next byte of resp
	hash hash.Hash // of the bytes before at, while verify is set
	tail []byte    // the last bytes of the blob, as far as they have come, while verify is set
	good bool      // tail is whole, and the digest is right
	url  string    // that the first bytes came from, or those after the end
	last string    // the URL of the last response
	sent sent      // what the caller has got before, if verify is set
}

// sent describes bytes of a blob that a reader has got in another way.
type sent struct {
	from, to int64
	hash     *maphash.Hash // of the bytes
}

// check reads the blob from r up to the end of these bytes.
//
// Errors: ErrChanged if they are others; an error of r.
func (s sent) check(r io.Reader) error {
	var h maphash.Hash
	h.SetSeed(s.hash.Seed())
	if _, err := io.CopyN(io.Discard, r, s.from); err != nil {
		return err
	}
	if _, err := io.CopyN(&h, r, s.to-s.from); err != nil {
		return err
	}
	if h.Sum64() != s.hash.Sum64() {
		return fmt.Errorf("%w: the bytes from %d to %d are others than before", ErrChanged, s.from, s.to)
	}
	return nil
}

// newStream returns a stream of a blob of size bytes. It requests nothing.
func newStream(ctx context.Context, f *Fills, source Source, d digest.Digest, size int64) *stream {
	return &stream{ctx: ctx, fills: f, source: source, digest: d, size: size, hash: d.Algorithm().Hash()}
}

// Read implements [io.Reader].
//
// Errors: errWrong; ErrChanged; those of Source.Fetch.
func (s *stream) Read(p []byte) (int, error) {
	for failures := 0; ; {
		if s.pos >= s.size {
			return 0, io.EOF
		}
		n, err := s.next(p)
		s.pos += int64(n)
		if n > 0 || err == nil {
			return n, nil
		}
		if failures++; !errors.Is(err, errBroken) || s.ctx.Err() != nil {
			return 0, err
		}
		if failures > maxIdleTries {
			return 0, registry.ErrUnavailable.WithCause(err)
		}
	}
}

// next reads the next bytes, and requests them if necessary.
//
// Errors: errBroken; those of Read.
func (s *stream) next(p []byte) (int, error) {
	if s.good && s.pos >= s.tailStart() {
		return copy(p, s.tail[s.pos-s.tailStart():]), nil
	}
	if s.resp == nil || s.at > s.pos {
		if err := s.request(); err != nil {
			return 0, err
		}
	}
	if !s.verify {
		return s.receive(p[:min(int64(len(p)), s.size-s.pos)])
	}
	if s.at == 0 && s.sent.to > s.sent.from {
		if err := s.sent.check(readerFunc(s.receive)); err != nil {
			return 0, s.again(err)
		}
		s.sent = sent{}
	}
	free := min(s.pos, s.tailStart())
	if skip := free - s.at; skip > 0 {
		if _, err := io.CopyN(io.Discard, readerFunc(s.receive), skip); err != nil {
			return 0, err
		}
	}
	if free = s.tailStart() - s.pos; free > 0 {
		return s.receive(p[:min(int64(len(p)), free)])
	}
	return 0, s.readTail()
}

// again returns an error after which the next request is for the first byte again.
func (s *stream) again(err error) error {
	s.closeResponse()
	s.hash.Reset()
	s.at = 0
	return err
}

// tailStart returns the position from which on the bytes are held back.
func (s *stream) tailStart() int64 { return max(0, s.size-holdback) }

// request requests the bytes at the position; with verify, those after the last that have come.
func (s *stream) request() error {
	s.closeResponse()
	if !s.verify {
		end := s.size
		if s.pos < s.want {
			end = s.want
		}
		err := s.accept(s.pos)(s.source.FetchRange(s.ctx, s.digest, s.pos, end-s.pos))
		if !errors.Is(err, registry.ErrUnsupported) {
			return err
		}
		s.verify, s.at = true, 0
	}
	if s.at > s.pos && (s.at < s.tailStart() || s.pos < s.tailStart()) {
		s.hash.Reset()
		s.at, s.tail, s.good = 0, nil, false
	}
	return s.accept(s.at)(s.source.Fetch(s.ctx, s.digest, s.at, ""))
}

// accept returns a function that checks a new response. Its bytes before at are skipped.
func (s *stream) accept(at int64) func(*Response, error) error {
	return func(resp *Response, err error) error {
		if err != nil {
			return err
		}
		s.resp, s.at = resp, at
		if at == 0 {
			s.url = resp.URL
		}
		s.last = resp.URL
		if s.size < 0 {
			s.size = resp.Size
		}
		switch {
		case s.size < 0:
			err = registry.ErrUnavailable.WithCause(errors.New("fill: the upstream does not state the size of a blob"))
		case resp.Size >= 0 && resp.Size != s.size:
			err = fmt.Errorf("%w: it has %d bytes instead of %d", ErrChanged, resp.Size, s.size)
		case s.size == 0 && s.digest != s.digest.Algorithm().FromBytes(nil):
			err = wrongDigest(s.digest.Algorithm().FromBytes(nil)) // a reader is at the end at once
		case resp.Offset > at:
			err = fmt.Errorf("%w: it begins at %d instead of %d", errBroken, resp.Offset, at)
		case resp.Offset < at:
			if _, cerr := io.CopyN(io.Discard, resp.Body, at-resp.Offset); cerr != nil {
				err = fmt.Errorf("%w: %w", errBroken, cerr)
			}
		}
		if err != nil {
			s.closeResponse()
		}
		return err
	}
}

// readerFunc is a function that reads.
type readerFunc func(p []byte) (int, error)

// Read implements [io.Reader].
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// receive reads from the open response.
//
// Errors: errBroken, also at an end that is too early. The response is then closed.
func (s *stream) receive(p []byte) (int, error) {
	if s.resp == nil {
		return 0, errBroken
	}
	n, err := s.resp.Body.Read(p)
	if s.verify {
		s.hash.Write(p[:n])
	}
	s.at += int64(n)
	s.fills.bytes.Add(int64(n))
	s.fills.direct.Add(int64(n))
	if err != nil && (n == 0 || err != io.EOF) {
		s.closeResponse()
	}
	if n > 0 || err == nil {
		return n, nil
	}
	return 0, fmt.Errorf("%w: %w", errBroken, err)
}

// readTail reads the last bytes of the blob, and checks the digest of all.
//
// Errors: errBroken; errWrong.
func (s *stream) readTail() error {
	if s.tail == nil {
		s.tail = make([]byte, 0, s.size-s.tailStart())
	}
	for len(s.tail) < cap(s.tail) {
		n, err := s.receive(s.tail[len(s.tail):cap(s.tail)])
		if err != nil {
			return err
		}
		s.tail = s.tail[:len(s.tail)+n]
	}
	err := error(nil)
	var more [1]byte
	if got := digest.NewDigest(s.digest.Algorithm(), s.hash); got != s.digest {
		err = wrongDigest(got)
	} else if n, _ := io.ReadFull(readerFunc(s.receive), more[:]); n > 0 {
		err, s.url = fmt.Errorf("%w: it has more than %d bytes", errWrong, s.size), s.last
	}
	s.closeResponse()
	if err == nil {
		s.good = true
		return nil
	}
	s.source.Blame(s.url, s.digest, err)
	return err
}

// Seek implements [io.Seeker]. It requests nothing.
func (s *stream) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.pos
	case io.SeekEnd:
		offset += s.size
	}
	if offset < 0 {
		return s.pos, errors.New("fill: seek before the start of a blob")
	}
	if offset != s.pos {
		s.pos, s.want = offset, 0
		if !s.verify {
			s.closeResponse()
		}
	}
	return offset, nil
}

// Until announces where the part ends that the caller reads.
func (s *stream) Until(end int64) { s.want = end }

// Close implements [io.Closer].
func (s *stream) Close() error {
	s.closeResponse()
	return nil
}

// closeResponse closes the open response, if any.
func (s *stream) closeResponse() {
	if s.resp != nil {
		_ = s.resp.Body.Close() // it was only read
		s.resp = nil
	}
}
