package registrytest

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// uploadTooShort checks that fewer bytes than announced are an error, and that they are kept.
func (s *suite) uploadTooShort(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int64{0, 5, 100_000} {
		content := RandomBytes(uint64(size), 200_000)
		u := s.create(t, b, "a/b")
		n, err := u.Append(t.Context(), 0, size+1, bytes.NewReader(content[:size]))
		requireError(t, err, registry.ErrSizeInvalid)
		require.Equal(t, n, u.Size())
		s.requireKept(t, size, u.Size())
		s.finish(t, b, "a/b", u, content)
	}
}

// requireKept requires that all of read bytes were kept, as far as the backend guarantees it.
func (s *suite) requireKept(t *testing.T, read, kept int64) {
	t.Helper()
	if s.Remote {
		require.LessOrEqual(t, kept, read)
	} else {
		require.Equal(t, read, kept)
	}
}

// uploadTooLong checks that bytes beyond the announced length never become part of the blob,
// whether or not they are an error.
func (s *suite) uploadTooLong(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int64{0, 5, 100_000} {
		content := RandomBytes(uint64(size), 200_000)
		u := s.create(t, b, "a/b")
		n, err := u.Append(t.Context(), 0, size, bytes.NewReader(content[:size+1]))
		if err != nil {
			requireError(t, err, registry.ErrSizeInvalid)
		} else {
			require.Equal(t, size, n, "without an error, all announced bytes must be kept")
		}
		require.Equal(t, n, u.Size())
		require.LessOrEqual(t, n, size)
		s.finish(t, b, "a/b", u, content)
	}
}

// uploadReaderFails checks that bytes read before the reader failed are kept, and that the upload
// continues after them.
func (s *suite) uploadReaderFails(t *testing.T) {
	b, _ := s.new(t)
	content := RandomBytes(1, 500_000)
	for _, size := range []int64{0, 1, 1000, 20_000, 300_000} {
		for _, length := range []int64{-1, 400_000} {
			u := s.create(t, b, "a/b")
			add(t, u, content[:7])
			n, err := u.Append(t.Context(), 7, length, &brokenReader{bytes.NewReader(content[7 : 7+size])})
			require.ErrorIs(t, err, errBroken)
			require.Equal(t, 7+n, u.Size())
			s.requireKept(t, size, n)
			v := s.resume(t, b, "a/b", u.ID())
			if !s.Remote {
				require.Equal(t, u.Size(), v.Size())
			}
			s.finish(t, b, "a/b", v, content)
		}
	}
}

// uploadContextEnds checks that the bytes received before the context ended are kept.
func (s *suite) uploadContextEnds(t *testing.T) {
	b, _ := s.new(t)
	content := RandomBytes(1, 600_000)
	for _, length := range []int64{-1, int64(len(content))} {
		u := s.create(t, b, "a/b")
		ctx, cancel := context.WithCancel(t.Context())
		n, err := u.Append(ctx, 0, length, io.MultiReader(bytes.NewReader(content[:300_000]), cancelReader(cancel),
			bytes.NewReader(content[300_000:])))
		if err == nil {
			require.Equal(t, int64(len(content)), n, "without an error, all bytes must be kept")
		}
		require.Equal(t, n, u.Size())
		v := s.resume(t, b, "a/b", u.ID())
		if !s.Remote {
			require.Equal(t, u.Size(), v.Size())
		}
		s.finish(t, b, "a/b", v, content)
	}
}

// cancelReader is an empty reader that cancels a context when it is read.
type cancelReader context.CancelFunc

func (c cancelReader) Read([]byte) (int, error) {
	c()
	return 0, io.EOF
}
