package registrytest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// prefixes lists the sizes, in bytes, of an upload before a Commit adds the rest.
var prefixes = []int64{0, 10, 50_000}

// chunk returns content from offset on as the last chunk of an upload.
func chunk(content []byte, offset, length int64) *registry.Chunk {
	return &registry.Chunk{Offset: offset, Length: length, Body: bytes.NewReader(content[offset:])}
}

// begin creates an upload with the first size bytes of content.
func (s *suite) begin(t *testing.T, b registry.Backend, content []byte, size int64) registry.Upload {
	t.Helper()
	u := s.create(t, b, "a/b")
	if size > 0 {
		add(t, u, content[:size])
	}
	return u
}

// commitLast checks last chunks of known and unknown length: the rest, the whole blob, or empty.
func (s *suite) commitLast(t *testing.T) {
	b, _ := s.new(t)
	for i, size := range prefixes {
		for j, rest := range []int64{0, 100, 70_000} {
			for k, length := range []int64{rest, -1} {
				if size+rest == 0 {
					continue
				}
				content := RandomBytes(uint64(100*i+10*j+k), int(size+rest))
				u := s.begin(t, b, content, size)
				desc, err := u.Commit(t.Context(), digest.FromBytes(content), chunk(content, size, length))
				require.NoError(t, err)
				require.Equal(t, descriptor("application/octet-stream", content), desc)
				requireBlob(t, b, "a/b", content)
				s.requireEnded(t, b, "a/b", u)
			}
		}
	}
}

// commitSeveralDigests checks that the content must have all digests of the Commit, and is stored
// under the first.
func (s *suite) commitSeveralDigests(t *testing.T) {
	b, _ := s.new(t)
	for i, size := range prefixes {
		content := RandomBytes(uint64(i), int(size)+1000)
		a256, a512 := digest.SHA256.FromBytes(content), digest.SHA512.FromBytes(content)
		for _, c := range []struct{ d, also digest.Digest }{
			{a256, digest.SHA512.FromString("other")}, {a512, digest.SHA256.FromString("other")},
			{digest.SHA256.FromString("other"), a512}, {digest.SHA512.FromString("other"), a256},
		} {
			u := s.begin(t, b, content, size)
			_, err := u.Commit(t.Context(), c.d, chunk(content, size, 1000), c.also)
			requireError(t, err, registry.ErrDigestInvalid)
			s.requireEnded(t, b, "a/b", u)
			if !s.Remote {
				requireNoBlob(t, b, "a/b", c.d)
				requireNoBlob(t, b, "a/b", c.also)
			}
		}
		u := s.begin(t, b, content, size)
		_, err := u.Commit(t.Context(), a256, chunk(content, size, 1000), "sha512:x")
		requireError(t, err, registry.ErrDigestInvalid)
		for _, c := range [][2]digest.Digest{{a256, a512}, {a512, a256}} {
			u := s.begin(t, b, content, size)
			desc, err := u.Commit(t.Context(), c[0], chunk(content, size, -1), c[1])
			require.NoError(t, err)
			require.Equal(t, c[0], desc.Digest)
			requireBlobAs(t, b, "a/b", content, c[0])
		}
	}
}

// commitLastOutOfOrder checks that a last chunk at another offset is rejected and changes nothing.
func (s *suite) commitLastOutOfOrder(t *testing.T) {
	b, _ := s.new(t)
	content := RandomBytes(1, 120_000)
	d := digest.FromBytes(content)
	for _, size := range prefixes {
		u := s.begin(t, b, content, size)
		for _, offset := range []int64{-1, 0, size - 1, size + 1, 1 << 40} {
			if offset == size {
				continue
			}
			for _, length := range []int64{int64(len(content)) - size, -1} {
				last := &registry.Chunk{Offset: offset, Length: length, Body: bytes.NewReader(content[size:])}
				_, err := u.Commit(t.Context(), d, last)
				requireError(t, err, registry.ErrRangeInvalid, "at %d of %d", offset, size)
				require.Equal(t, size, u.Size())
				requireNoBlob(t, b, "a/b", d)
			}
		}
		v := s.resume(t, b, "a/b", u.ID())
		require.Equal(t, size, v.Size())
		_, err := v.Commit(t.Context(), d, chunk(content, size, -1))
		require.NoError(t, err)
		requireBlob(t, b, "a/b", content)
		if !s.NoDelete {
			require.NoError(t, b.DeleteBlob(t.Context(), "a/b", d, nil))
		}
		content = append(content[:len(content):len(content)], byte(size)) // use another blob
		d = digest.FromBytes(content)
	}
}

// commitLastFails checks that no blob exists if the last chunk is too short or its reader fails,
// and that the upload continues after the received bytes.
func (s *suite) commitLastFails(t *testing.T) {
	b, _ := s.new(t)
	for i, size := range prefixes {
		for j, arrives := range []int64{0, 100, 70_000} {
			for k, c := range []struct {
				name   string
				length int64
				broken bool
			}{{"too short", arrives + 1, false}, {"broken, of known length", 75_000, true}, {"broken", -1, true}} {
				content := RandomBytes(uint64(100*i+10*j+k), 150_000)
				u := s.begin(t, b, content, size)
				var body io.Reader = bytes.NewReader(content[size : size+arrives])
				if c.broken {
					body = &brokenReader{body}
				}
				d := digest.FromBytes(content[:size+arrives]) // the digest of the received bytes, which are not all
				_, err := u.Commit(t.Context(), d, &registry.Chunk{Offset: size, Length: c.length, Body: body})
				if c.broken {
					require.ErrorIs(t, err, errBroken, c.name)
				} else {
					requireError(t, err, registry.ErrSizeInvalid, c.name)
				}
				requireNoBlob(t, b, "a/b", d)
				require.GreaterOrEqual(t, u.Size(), size, c.name)
				s.requireKept(t, size+arrives, u.Size())
				v := s.resume(t, b, "a/b", u.ID())
				if !s.Remote {
					require.Equal(t, u.Size(), v.Size(), c.name)
				}
				s.finish(t, b, "a/b", v, content)
			}
		}
	}
}

// commitLastWrongDigest checks that the upload ends if all bytes arrived and have another digest.
func (s *suite) commitLastWrongDigest(t *testing.T) {
	b, _ := s.new(t)
	content := RandomBytes(1, 120_000)
	for _, size := range prefixes {
		for _, length := range []int64{int64(len(content)) - size, -1} {
			u := s.begin(t, b, content, size)
			d := digest.FromString("something else")
			_, err := u.Commit(t.Context(), d, chunk(content, size, length))
			requireError(t, err, registry.ErrDigestInvalid)
			requireNoBlob(t, b, "a/b", d)
			requireNoBlob(t, b, "a/b", digest.FromBytes(content))
			s.requireEnded(t, b, "a/b", u)
		}
	}
}

// commitLastRace checks that exactly one of several concurrent Commits with the same last chunk
// succeeds, and that the blob contains the chunk once.
func (s *suite) commitLastRace(t *testing.T) {
	b, _ := s.new(t)
	for round := range 10 {
		size := prefixes[round%3]
		content := RandomBytes(uint64(round), int(size)+[]int{100, 20_000}[round%2])
		d := digest.FromBytes(content)
		u := s.begin(t, b, content, size)
		us := make([]registry.Upload, max(2, s.Writers/4))
		for i := range us {
			us[i] = s.resume(t, b, "a/b", u.ID())
		}
		errs := race(len(us), func(i int) error {
			_, err := us[i].Commit(t.Context(), d, chunk(content, size, []int64{int64(len(content)) - size, -1}[i%2]))
			return err
		})
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, registry.ErrUploadUnknown) {
				requireError(t, err, registry.ErrRangeInvalid)
			}
		}
		require.Equal(t, 1, won, "of %d with the same chunk: %v", len(us), errors.Join(errs...))
		requireBlob(t, b, "a/b", content)
	}
}

// commitLastOneStep checks that nothing is appended between the last chunk and its Commit.
func (s *suite) commitLastOneStep(t *testing.T) {
	if s.Remote {
		t.Skip("the last chunk goes its own way")
	}
	b, _ := s.new(t)
	begin := time.Now()
	for round := 0; round < 300 && (round < 10 || time.Since(begin) < time.Second/2); round++ {
		size := prefixes[round%2]
		content := RandomBytes(uint64(round), int(size)+100)
		u := s.begin(t, b, content, size)
		id := u.ID()
		var committed atomic.Bool
		requireAll(t, race(4, func(i int) error {
			if i == 0 {
				defer committed.Store(true)
				_, err := u.Commit(t.Context(), digest.FromBytes(content), chunk(content, size, 100))
				return err
			}
			for !committed.Load() {
				v, err := b.ResumeUpload(t.Context(), "a/b", id, &registry.ResumeOptions{Owner: s.Owner})
				if err == nil && v.Size() > size {
					if _, err = v.Append(t.Context(), v.Size(), 1, strings.NewReader("x")); err == nil {
						return errors.New("an append came between the last chunk and its Commit")
					}
				}
				if err != nil && !errors.Is(err, registry.ErrUploadUnknown) && !errors.Is(err, registry.ErrRangeInvalid) {
					return err
				}
			}
			return nil
		}))
		requireBlob(t, b, "a/b", content)
	}
}
