package replicate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/registry"
)

// source reads a blob from position pos on. It goes on after temporary failures, so that the upload
// that it feeds is not disturbed. It is used by one goroutine at a time.
type source struct {
	ctx  context.Context
	t    *transfer
	body io.ReadSeekCloser // at pos; nil before the first Read and after a failure
	pos  int64
	err  error // of all later Reads

	tries    *attempts
	unread   int64 // bytes read that are not yet reported
	reported time.Time
}

const (
	reportSize  = 256 << 10
	reportEvery = 100 * time.Millisecond
)

// seek moves to a position.
func (s *source) seek(at int64) {
	if s.pos != at {
		s.close()
		s.pos = at
	}
}

// Read implements [io.Reader]. It ends with the size that the manifest states.
func (s *source) Read(p []byte) (int, error) {
	for s.err == nil {
		size := s.t.b.desc.Size
		if s.pos == size || len(p) == 0 {
			s.report()
			return 0, eofAt(s.pos, size)
		}
		n, err := s.read(p[:min(int64(len(p)), size-s.pos)])
		if n > 0 {
			s.pos += int64(n)
			s.t.read += int64(n)
			if s.unread += int64(n); s.unread >= reportSize || s.pos == size || time.Since(s.reported) >= reportEvery {
				s.report()
			}
			return n, nil
		}
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("the source sent %d of %d bytes: %w", s.pos, size, io.ErrUnexpectedEOF)
		}
		if err != nil {
			s.close()
			if s.tries == nil {
				s.tries = &attempts{retries: s.t.c.opts.Retries, moved: s.t.read}
			}
			s.err = s.tries.next(s.ctx, err, s.t.read)
		}
	}
	return 0, s.err
}

func eofAt(pos, size int64) error {
	if pos == size {
		return io.EOF
	}
	return nil
}

// read reads from the body, which it opens if necessary.
func (s *source) read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	if s.body == nil {
		if err := s.open(); err != nil {
			return 0, err
		}
	}
	n, err := s.body.Read(p)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	return n, err
}

// open opens the blob at the position.
func (s *source) open() error {
	desc := s.t.b.desc
	opts := &registry.OpenOptions{}
	if s.pos > 0 {
		opts.Range = &registry.ByteRange{First: s.pos, Length: -1}
	}
	b, err := s.t.c.src.OpenBlob(s.ctx, s.t.c.from.repo, desc.Digest, opts)
	if err != nil {
		return err
	}
	if b.Descriptor.Size != desc.Size {
		_ = b.Body.Close()
		return registry.ErrSizeInvalid.WithMessage(fmt.Sprintf("the source has %d bytes; the manifest states %d",
			b.Descriptor.Size, desc.Size))
	}
	if s.pos > 0 {
		if _, err := b.Body.Seek(s.pos, io.SeekStart); err != nil {
			_ = b.Body.Close()
			return err
		}
	}
	s.body = b.Body
	return nil
}

// report reports the progress.
func (s *source) report() {
	if s.unread > 0 {
		s.t.c.progress.moved(s.t.b, s.unread, s.pos)
		s.unread, s.reported = 0, time.Now()
	}
}

func (s *source) close() {
	s.report()
	if s.body != nil {
		_ = s.body.Close() // what was read is verified by the destination
		s.body = nil
	}
}

// explain returns the error of the source, if it caused err. Otherwise err is that of the destination.
func (s *source) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case s.err != nil:
		return final{fmt.Errorf("reading from the source: %w", s.err)} // Read has tried again
	}
	return fmt.Errorf("writing to the destination: %w", err)
}
