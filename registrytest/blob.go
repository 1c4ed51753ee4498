package registrytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// sizes returns blob sizes at boundaries: none, few, the limits up to which stores keep a blob in
// its link, the sizes of buffers, and many.
func (s *suite) sizes() []int64 {
	return []int64{0, 1, 2, 511, 512, 4095, 4096, 4097, 16<<10 - 1, 16 << 10, 16<<10 + 1, 32 << 10, 64<<10 - 1, 64 << 10,
		64<<10 + 1, 1<<20 + 1, s.LargeSize}
}

func (s *suite) blobSizes(t *testing.T) {
	b, w := s.new(t)
	for _, size := range s.sizes() {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			content := RandomBytes(uint64(size), int(size))
			s.pushBlob(t, w, "a/b", content)
			requireBlob(t, b, "a/b", content)
		})
	}
}

// blobSeek checks that a Body reads and seeks like a bytes.Reader on the content.
func (s *suite) blobSeek(t *testing.T) {
	b, w := s.new(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 1000, 17000, 200_000} {
		content := RandomBytes(uint64(size), size)
		desc := s.pushBlob(t, w, "a/b", content)
		blob, err := b.OpenBlob(t.Context(), "a/b", desc.Digest, nil)
		require.NoError(t, err)
		want := bytes.NewReader(content)
		for range 100 {
			offset := rnd.Int64N(int64(size) + 10)
			whence := rnd.IntN(3)
			switch whence {
			case io.SeekCurrent:
				offset -= int64(size) / 2
			case io.SeekEnd:
				offset = -offset
			}
			pos, err := want.Seek(offset, whence)
			got, gotErr := blob.Body.Seek(offset, whence)
			require.Equal(t, err == nil, gotErr == nil, "seek(%d, %d): %v", offset, whence, gotErr)
			if err == nil {
				require.Equal(t, pos, got, "seek(%d, %d)", offset, whence)
			}
			n := rnd.IntN(20_000)
			require.Equal(t, readUpTo(t, want, n), readUpTo(t, blob.Body, n))
		}
		_, err = blob.Body.Seek(int64(size)+1000, io.SeekStart)
		require.NoError(t, err, "beyond the end")
		_, err = blob.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF, "beyond the end")
		_, err = blob.Body.Seek(0, io.SeekStart)
		require.NoError(t, err)
		require.Equal(t, content, readUpTo(t, blob.Body, size+1), "from the start again")
		require.NoError(t, blob.Body.Close())
	}
}

// readUpTo returns the next n bytes, or fewer at the end.
func readUpTo(t *testing.T, r io.Reader, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	got, err := io.ReadFull(r, p)
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		require.NoError(t, err)
	}
	return p[:got]
}

// blobReaders checks that the bodies of one blob are independent, and that unread bodies leak
// nothing.
func (s *suite) blobReaders(t *testing.T) {
	b, w := s.new(t)
	content := RandomBytes(1, 300_000)
	desc := s.pushBlob(t, w, "a/b", content)
	for range 100 {
		blob, err := b.OpenBlob(t.Context(), "a/b", desc.Digest, &registry.OpenOptions{})
		require.NoError(t, err)
		require.NoError(t, blob.Body.Close())
	}
	requireAll(t, race(s.Writers, func(i int) error {
		blob, err := b.OpenBlob(t.Context(), "a/b", desc.Digest, nil)
		if err != nil {
			return err
		}
		defer blob.Body.Close()
		from := i * 1000
		if _, err := blob.Body.Seek(int64(from), io.SeekStart); err != nil {
			return err
		}
		if i%3 == 0 { // stop in the middle
			_, err := io.CopyN(io.Discard, blob.Body, 100)
			return err
		}
		got, err := io.ReadAll(blob.Body)
		if err == nil && !bytes.Equal(content[from:], got) {
			err = fmt.Errorf("other bytes from %d on", from)
		}
		return err
	}))
}

func (s *suite) blobUnknown(t *testing.T) {
	b, w := s.new(t)
	requireNoBlob(t, b, "a/b", zeros)
	s.pushBlob(t, w, "a/b", []byte("content"))
	requireNoBlob(t, b, "a/b", zeros)
	requireNoBlob(t, b, "a/b", digest.SHA512.FromString("content"))
	requireNoBlob(t, b, "a/b", digest.FromString("conten"))
}

// blobInOtherRepository checks that a blob is visible only in its own repository, even if another
// has a similar name.
func (s *suite) blobInOtherRepository(t *testing.T) {
	b, w := s.new(t)
	for _, content := range [][]byte{[]byte("few"), RandomBytes(1, 100_000)} {
		d := s.pushBlob(t, w, "a/b", content).Digest
		requireBlob(t, b, "a/b", content)
		for _, repo := range []string{"a", "b", "a/b/c", "a/bb", "a-b", "a/c", "a.b", "a_b"} {
			requireNoBlob(t, b, repo, d)
		}
	}
}

// blobSHA512 checks both digest algorithms, announced at the start of the upload or not.
func (s *suite) blobSHA512(t *testing.T) {
	b, _ := s.new(t)
	for i, size := range []int{0, 1000, 300_000} {
		for j, announced := range []digest.Algorithm{"", digest.SHA256, digest.SHA512} {
			for k, used := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
				content := RandomBytes(uint64(100*i+10*j+k), size)
				u, err := b.CreateUpload(t.Context(), "a/b", &registry.UploadOptions{Owner: s.Owner, Algorithm: announced})
				require.NoError(t, err)
				add(t, u, content)
				desc, err := u.Commit(t.Context(), used.FromBytes(content), nil)
				require.NoError(t, err, "%q announced, %s used", announced, used)
				require.Equal(t, used.FromBytes(content), desc.Digest)
				requireBlobAs(t, b, "a/b", content, desc.Digest)
			}
		}
	}
	_, err := b.CreateUpload(t.Context(), "a/b", &registry.UploadOptions{Owner: s.Owner, Algorithm: "md5"})
	requireError(t, err, registry.ErrDigestInvalid)
}

// blobWrongDigest checks that content with another digest leaves no blob.
func (s *suite) blobWrongDigest(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int{0, 100, 300_000} {
		content := RandomBytes(uint64(size), size)
		for _, wrong := range []digest.Digest{zeros, digest.SHA512.FromString("another")} {
			u := s.create(t, b, "a/b")
			add(t, u, content)
			_, err := u.Commit(t.Context(), wrong, nil)
			requireError(t, err, registry.ErrDigestInvalid)
			_, err = u.Commit(t.Context(), digest.FromBytes(content), nil)
			requireError(t, err, registry.ErrUploadUnknown, "the upload is gone")
			if size > 0 {
				_, err = b.ResumeUpload(t.Context(), "a/b", u.ID(), &registry.ResumeOptions{Owner: s.Owner})
				requireError(t, err, registry.ErrUploadUnknown, "the upload is gone")
			}
			requireNoBlob(t, b, "a/b", wrong)
			requireNoBlob(t, b, "a/b", digest.FromBytes(content))
		}
	}
	requireRepositories(t, b)
}

// blobAgain checks that a blob can be pushed again, to the same repository or another, in turn or
// concurrently.
func (s *suite) blobAgain(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int{100, 100_000} {
		content := RandomBytes(uint64(size), size)
		requireAll(t, race(s.Writers/2, func(i int) error {
			_, err := s.tryBlob(t.Context(), b, fmt.Sprint("r", i%3), content, digest.SHA256)
			return err
		}))
		for i := range 3 {
			repo := fmt.Sprint("r", i)
			s.pushBlob(t, b, repo, content)
			requireBlob(t, b, repo, content)
		}
	}
}
