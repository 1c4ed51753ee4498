package registrytest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// idLetters lists the characters that need no escaping in a URL.
const idLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"

// uploadID checks that ids are unique and valid in URLs.
func (s *suite) uploadID(t *testing.T) {
	b, _ := s.new(t)
	seen := map[string]bool{}
	name := long("a/", s.MaxName)
	for i := range 100 {
		u := s.create(t, b, []string{"a/b", name}[i%2])
		for range 2 {
			id := u.ID()
			require.NotEmpty(t, id)
			require.LessOrEqual(t, len(id), 255)
			require.Empty(t, strings.Trim(id, idLetters), "id %q needs an escape", id)
			add(t, u, []byte("x"))
		}
		require.False(t, seen[u.ID()], "id %q comes twice", u.ID())
		seen[u.ID()] = true
	}
}

// uploadName checks that the name of an upload is unique and never changes, also when another
// caller resumes it.
func (s *suite) uploadName(t *testing.T) {
	b, _ := s.new(t)
	seen := map[string]bool{}
	for range 10 {
		u := s.create(t, b, "a/b")
		name := u.Name()
		require.NotEmpty(t, name)
		require.LessOrEqual(t, len(name), 255)
		require.Empty(t, strings.Trim(name, idLetters), "name %q needs an escape", name)
		require.False(t, seen[name], "name %q comes twice", name)
		seen[name] = true
		for _, piece := range []string{"hello", "world"} {
			add(t, u, []byte(piece))
			require.Equal(t, name, u.Name())
			var err error
			u, err = b.ResumeUpload(t.Context(), "a/b", u.ID(), &registry.ResumeOptions{Owner: s.Owner,
				Continue: piece == "hello"})
			require.NoError(t, err)
			require.Equal(t, name, u.Name())
		}
	}
}

// uploadPieces checks pieces of all sizes, each appended by a caller with any earlier id of the
// upload.
func (s *suite) uploadPieces(t *testing.T) {
	b, _ := s.new(t)
	content := RandomBytes(1, 700_000)
	u := s.create(t, b, "a/b")
	ids := []string{u.ID()}
	at := int64(0)
	few := int64(1)
	if s.Remote {
		few = 2 // HTTP cannot tell one received byte from none
	}
	for i, size := range []int64{0, few, 1, 10, 16 << 10, 1, 100_000, 50_000, 0, 16<<10 - 1, 300_000, 3} {
		n, err := u.Append(t.Context(), at, []int64{size, -1}[i%2], bytes.NewReader(content[at:at+size]))
		require.NoError(t, err)
		require.Equal(t, size, n)
		at += size
		require.Equal(t, at, u.Size())
		ids = append(ids, u.ID())
		if i%3 == 0 {
			continue
		}
		u = s.resume(t, b, "a/b", ids[max(0, len(ids)-1-i%2)])
		require.Equal(t, at, u.Size(), "resumed after piece %d", i)
	}
	_, err := u.Append(t.Context(), at, -1, bytes.NewReader(content[at:]))
	require.NoError(t, err)
	desc, err := u.Commit(t.Context(), digest.FromBytes(content), nil)
	require.NoError(t, err)
	require.Equal(t, descriptor("application/octet-stream", content), desc)
	requireBlob(t, b, "a/b", content)
}

// uploadManyPieces checks that a blob of very many small pieces reads like any other.
func (s *suite) uploadManyPieces(t *testing.T) {
	b, _ := s.new(t)
	const size = 101
	content := RandomBytes(1, s.Appends*size)
	u := s.create(t, b, "a/b")
	for i := range s.Appends {
		n, err := u.Append(t.Context(), int64(i*size), size, bytes.NewReader(content[i*size:(i+1)*size]))
		if err != nil || n != size {
			require.NoError(t, err)
			require.Equal(t, int64(size), n)
		}
	}
	d := digest.FromBytes(content)
	_, err := u.Commit(t.Context(), d, nil)
	require.NoError(t, err)
	requireBlob(t, b, "a/b", content)
	blob, err := b.OpenBlob(t.Context(), "a/b", d, nil)
	require.NoError(t, err)
	defer blob.Body.Close()
	for at := int64(0); at < int64(len(content)); at += int64(len(content))/7 + 1 {
		_, err := blob.Body.Seek(at, io.SeekStart)
		require.NoError(t, err)
		require.Equal(t, content[at:min(at+500, int64(len(content)))], readUpTo(t, blob.Body, 500))
	}
}

// uploadLarge checks an upload of unknown size with pieces of unknown length.
func (s *suite) uploadLarge(t *testing.T) {
	b, _ := s.new(t)
	content := RandomBytes(1, int(s.LargeSize))
	u := s.create(t, b, "a/b")
	for n := range 3 {
		_, err := u.Append(t.Context(), u.Size(), -1, io.LimitReader(bytes.NewReader(content[u.Size():]), s.LargeSize/4))
		require.NoError(t, err)
		require.Equal(t, int64(n+1)*(s.LargeSize/4), u.Size())
	}
	s.finish(t, b, "a/b", u, content)
	desc, err := registry.PushBlob(t.Context(), b, "c/d", "", bytes.NewReader(content))
	require.NoError(t, err)
	require.Equal(t, descriptor("application/octet-stream", content), desc)
	requireBlob(t, b, "c/d", content)
}

// uploadOutOfOrder checks that an append at another offset is rejected and changes nothing.
func (s *suite) uploadOutOfOrder(t *testing.T) {
	b, _ := s.new(t)
	content := RandomBytes(1, 100_000)
	u := s.create(t, b, "a/b")
	for _, size := range []int64{0, 10, 50_000} {
		add(t, u, content[u.Size():size])
		for _, offset := range []int64{-1, 0, 1, size - 1, size + 1, 1 << 40} {
			if offset == size {
				continue
			}
			for _, length := range []int64{5, -1} {
				n, err := u.Append(t.Context(), offset, length, strings.NewReader("wrong"))
				requireError(t, err, registry.ErrRangeInvalid, "at %d of %d", offset, size)
				require.Zero(t, n)
				require.Equal(t, size, u.Size())
			}
		}
		v := s.resume(t, b, "a/b", u.ID())
		require.Equal(t, size, v.Size())
	}
	s.finish(t, b, "a/b", u, content)
}

// uploadOfOthers checks that an upload is known only to its owner, in its repository, and by an id
// that was issued.
func (s *suite) uploadOfOthers(t *testing.T) {
	b, _ := s.new(t)
	content := RandomBytes(1, 1000)
	u := s.create(t, b, "a/b")
	fresh := u.ID()
	add(t, u, content[:500])
	for _, id := range []string{fresh, u.ID()} {
		unknown := func(repo, id, owner string) {
			t.Helper()
			_, err := b.ResumeUpload(t.Context(), repo, id, &registry.ResumeOptions{Owner: owner})
			requireError(t, err, registry.ErrUploadUnknown, "repository %q, id %q, owner %q", repo, id, owner)
		}
		owners := []string{"mallory", s.Owner + "x", s.Owner[1:], strings.ToUpper(s.Owner), "a/b"}
		if !s.FillsOwner {
			owners = append(owners, "")
		}
		for _, owner := range owners {
			unknown("a/b", id, owner)
		}
		for _, repo := range []string{"a", "a/c", "a/b/c", "a-b"} {
			unknown(repo, id, s.Owner)
		}
		for i := range len(id) {
			forged := []byte(id)
			forged[i] = 'A'
			if id[i] == 'A' {
				forged[i] = 'B'
			}
			unknown("a/b", string(forged), s.Owner)
		}
		for _, forged := range []string{"", "x", id[1:], id[:len(id)-1], id + "A", id + id, ".", "..", "../" + id, id + "/",
			"\x00", long("x", 10_000)} {
			unknown("a/b", forged, s.Owner)
		}
	}
	v := s.resume(t, b, "a/b", u.ID())
	s.finish(t, b, "a/b", v, content)
}

// requireEnded requires that an upload has ended.
func (s *suite) requireEnded(t *testing.T, b registry.Backend, repo string, u registry.Upload) {
	t.Helper()
	n, err := u.Append(t.Context(), u.Size(), 1, strings.NewReader("x"))
	requireError(t, err, registry.ErrUploadUnknown, "append")
	require.Zero(t, n)
	requireError(t, u.Cancel(t.Context()), registry.ErrUploadUnknown, "cancel")
	_, err = b.ResumeUpload(t.Context(), repo, u.ID(), &registry.ResumeOptions{Owner: s.Owner})
	requireError(t, err, registry.ErrUploadUnknown, "resume")
}

// uploadCancel checks that nothing can be appended to a canceled upload. A concurrent caller may
// still commit a complete upload, because its Commit may have come first.
func (s *suite) uploadCancel(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int{1, 100, 100_000} {
		content := RandomBytes(uint64(size), size)
		u := s.create(t, b, "a/b")
		add(t, u, content)
		other := s.resume(t, b, "a/b", u.ID())
		require.NoError(t, u.Cancel(t.Context()))
		d := digest.FromBytes(content)
		_, err := u.Commit(t.Context(), d, nil)
		requireError(t, err, registry.ErrUploadUnknown, "commit")
		requireNoBlob(t, b, "a/b", d)
		if _, err = other.Commit(t.Context(), d, nil); err == nil {
			requireBlob(t, b, "a/b", content)
		} else {
			requireError(t, err, registry.ErrUploadUnknown, "commit")
		}
		s.requireEnded(t, b, "a/b", u)
		s.requireEnded(t, b, "a/b", other)
	}
	require.NoError(t, s.create(t, b, "a/b").Cancel(t.Context()), "before the first byte")
}

// uploadAfterCommit checks that a committed upload can be neither extended nor canceled. Committing
// it again changes nothing, and may succeed or fail.
func (s *suite) uploadAfterCommit(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int{1, 100, 100_000} {
		content := RandomBytes(uint64(size), size)
		u := s.create(t, b, "a/b")
		add(t, u, content)
		other := s.resume(t, b, "a/b", u.ID())
		d := digest.FromBytes(content)
		_, err := u.Commit(t.Context(), d, nil)
		require.NoError(t, err)
		for _, v := range []registry.Upload{u, other} {
			if _, err := v.Commit(t.Context(), d, nil); err != nil {
				requireError(t, err, registry.ErrUploadUnknown, "commit")
			}
			s.requireEnded(t, b, "a/b", v)
		}
		requireBlob(t, b, "a/b", content)
	}
}

// uploadsApart checks that concurrent uploads do not mix.
func (s *suite) uploadsApart(t *testing.T) {
	b, _ := s.new(t)
	var us []registry.Upload
	for range 4 {
		us = append(us, s.create(t, b, "a/b"))
	}
	contents := make([][]byte, len(us))
	for i := range contents {
		contents[i] = RandomBytes(uint64(i), 120_000+i)
	}
	for _, size := range []int64{10, 20_000, 20_001, 100_000} {
		for i, u := range us {
			add(t, u, contents[i][u.Size():size])
		}
	}
	for i, u := range us {
		s.finish(t, b, "a/b", u, contents[i])
	}
}

// uploadRace checks that of concurrent appends at one offset exactly one succeeds, and that the
// blob has its bytes.
func (s *suite) uploadRace(t *testing.T) {
	b, _ := s.new(t)
	for round := range 10 {
		size := []int{1, 100, 20_000}[round%3]
		u := s.create(t, b, "a/b")
		prefix := RandomBytes(uint64(round), round*1000)
		add(t, u, prefix)
		n := max(2, s.Writers/4)
		us := make([]registry.Upload, n)
		for i := range us {
			us[i] = s.resume(t, b, "a/b", u.ID())
		}
		pieces := make([][]byte, n)
		for i := range pieces {
			pieces[i] = RandomBytes(uint64(1000*round+i+1), size)
		}
		errs := race(n, func(i int) error {
			_, err := us[i].Append(t.Context(), int64(len(prefix)), []int64{int64(size), -1}[i%2], bytes.NewReader(pieces[i]))
			return err
		})
		winner := -1
		for i, err := range errs {
			if err == nil {
				require.Equal(t, -1, winner, "two have added at one offset")
				winner = i
				continue
			}
			requireError(t, err, registry.ErrRangeInvalid)
		}
		require.NotEqual(t, -1, winner, "no append succeeded: %v", errors.Join(errs...))
		content := append(prefix, pieces[winner]...)
		_, err := us[winner].Commit(t.Context(), digest.FromBytes(content), nil)
		require.NoError(t, err)
		requireBlob(t, b, "a/b", content)
	}
}
