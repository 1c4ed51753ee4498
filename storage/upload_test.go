package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

func TestUploadIDIsBoundToOwnerAndRepository(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	ctx := t.Context()
	for _, size := range []int{0, 10, 100_000} {
		u, err := s.CreateUpload(ctx, "r", &registry.UploadOptions{Owner: "ann"})
		require.NoError(t, err)
		if size > 0 {
			_, err = u.Append(ctx, 0, -1, bytes.NewReader(random(1, size)))
			require.NoError(t, err)
		}
		same, err := s.ResumeUpload(ctx, "r", u.ID(), &registry.ResumeOptions{Owner: "ann"})
		require.NoError(t, err)
		require.EqualValues(t, size, same.Size())
		flipped := []byte(u.ID())
		flipped[20] ^= 1
		for _, c := range [][3]string{
			{"r", u.ID(), "bob"}, {"r", u.ID(), ""}, {"r2", u.ID(), "ann"}, {"r", string(flipped), "ann"}, {"r", "", "ann"},
			{"r", strings.Repeat("A", len(u.ID())), "ann"}, {"r", u.ID() + "A", "ann"}, {"r", "../../layout", "ann"},
		} {
			_, err := s.ResumeUpload(ctx, c[0], c[1], &registry.ResumeOptions{Owner: c[2]})
			require.ErrorIs(t, err, registry.ErrUploadUnknown, "%q", c)
		}
		other := newStore(t, newMemory(t), nil)
		_, err = other.ResumeUpload(ctx, "r", u.ID(), &registry.ResumeOptions{Owner: "ann"})
		require.ErrorIs(t, err, registry.ErrUploadUnknown, "the secret differs")
	}
}

func TestUploadOutOfOrder(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	ctx := t.Context()
	u, err := s.CreateUpload(ctx, "r", nil)
	require.NoError(t, err)
	_, err = u.Append(ctx, 1, -1, strings.NewReader("x"))
	require.ErrorIs(t, err, registry.ErrRangeInvalid)
	_, err = u.Append(ctx, 0, -1, strings.NewReader("hello"))
	require.NoError(t, err)
	for _, offset := range []int64{0, 4, 6, -1} {
		_, err = u.Append(ctx, offset, -1, strings.NewReader("x"))
		require.ErrorIs(t, err, registry.ErrRangeInvalid)
	}
	n, err := u.Append(ctx, 5, 10, strings.NewReader(" wor"))
	require.ErrorIs(t, err, registry.ErrSizeInvalid)
	require.EqualValues(t, 4, n)
	_, err = u.Append(ctx, 9, 2, strings.NewReader("ld and more"))
	require.NoError(t, err, "no more than the announced length is read")
	require.EqualValues(t, 11, u.Size())
	_, err = u.Commit(ctx, digest.FromString("hello world"), nil)
	require.NoError(t, err)
}

func TestUploadKeepsWhatArrived(t *testing.T) {
	for _, size := range []int{100, 100_000} {
		s := newStore(t, newMemory(t), nil)
		content := random(3, 2*size)
		u, err := s.CreateUpload(t.Context(), "r", nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		hangup := errors.New("connection reset")
		body := io.MultiReader(bytes.NewReader(content[:size]), iotest.ErrReader(hangup))
		cancel()
		n, err := u.Append(ctx, 0, int64(2*size), body)
		require.ErrorIs(t, err, hangup)
		require.EqualValues(t, size, n)
		u, err = s.ResumeUpload(t.Context(), "r", u.ID(), nil)
		require.NoError(t, err)
		require.EqualValues(t, size, u.Size())
		_, err = u.Append(t.Context(), int64(size), -1, bytes.NewReader(content[size:]))
		require.NoError(t, err)
		_, err = u.Commit(t.Context(), digest.FromBytes(content), nil)
		require.NoError(t, err)
	}
}

func TestUploadRace(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		for _, size := range []int{50, 50_000} {
			u, err := s.CreateUpload(t.Context(), "r", nil)
			require.NoError(t, err)
			var content []byte
			for round := range 5 {
				chunk := random(uint64(round), size)
				var won atomic.Int64
				var wg sync.WaitGroup
				for range 8 {
					mine, err := s.ResumeUpload(t.Context(), "r", u.ID(), nil)
					require.NoError(t, err)
					wg.Go(func() {
						switch _, err := mine.Append(t.Context(), int64(round*size), -1, bytes.NewReader(chunk)); {
						case err == nil:
							won.Add(1)
						case !errors.Is(err, registry.ErrRangeInvalid):
							t.Error(err)
						}
					})
				}
				wg.Wait()
				require.EqualValues(t, 1, won.Load())
				content = append(content, chunk...)
			}
			u, err = s.ResumeUpload(t.Context(), "r", u.ID(), nil)
			require.NoError(t, err)
			desc, err := u.Commit(t.Context(), digest.FromBytes(content), nil)
			require.NoError(t, err)
			got, err := readBlob(t.Context(), s, "r", desc.Digest)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got))
		}
		stored := int64(0)
		for info, err := range d.List(t.Context(), "data/", nil) {
			require.NoError(t, err)
			stored += info.Size
		}
		require.EqualValues(t, 5*50_000, stored, "the data of refused appends are removed, and those that were merged")
	})
}

func TestUploadEnds(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		ctx := t.Context()
		for _, size := range []int{10, 100_000} {
			for name, end := range map[string]func(u registry.Upload) error{
				"cancel": func(u registry.Upload) error { return u.Cancel(ctx) },
				"wrong digest": func(u registry.Upload) error {
					_, err := u.Commit(ctx, digest.FromString("wrong"), nil)
					require.ErrorIs(t, err, registry.ErrDigestInvalid)
					return nil
				},
				"commit": func(u registry.Upload) error {
					_, err := u.Commit(ctx, digest.FromBytes(random(1, size)), nil)
					return err
				},
			} {
				u, err := s.CreateUpload(ctx, "r", nil)
				require.NoError(t, err)
				_, err = u.Append(ctx, 0, -1, bytes.NewReader(random(1, size)))
				require.NoError(t, err)
				require.NoError(t, end(u), name)
				_, err = s.ResumeUpload(ctx, "r", u.ID(), nil)
				require.ErrorIs(t, err, registry.ErrUploadUnknown, name)
				_, err = u.Append(ctx, int64(size), -1, strings.NewReader("x"))
				require.Error(t, err, name)
			}
		}
		require.Len(t, keys(t, d, "data/"), 1, "only committed data remain")
		_, err := s.StatBlob(ctx, "r", digest.FromString("wrong"), nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
		u, err := s.CreateUpload(ctx, "r", nil)
		require.NoError(t, err)
		require.NoError(t, u.Cancel(ctx))
		_, err = s.ResumeUpload(ctx, "r", u.ID(), nil)
		require.ErrorIs(t, err, registry.ErrUploadUnknown, "an upload that has received nothing")
	})
}

// allOf returns a chunk with all bytes of a blob.
func allOf(content []byte) *registry.Chunk {
	return &registry.Chunk{Length: int64(len(content)), Body: bytes.NewReader(content)}
}

// TestCommitWithAllBytes: an upload whose bytes all come with the commit has no record.
func TestCommitWithAllBytes(t *testing.T) {
	for _, size := range []int{10, 100_000} {
		content, ctx := random(1, size), t.Context()
		var written, removed []string
		d := newMemory(t)
		newStore(t, d, nil)
		var mu sync.Mutex
		s := newStore(t, drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			switch c.Op {
			case "Put":
				written = append(written, c.Key[:strings.Index(c.Key, "/")])
			case "Delete":
				removed = append(removed, c.Key)
			}
			return nil
		}}), nil)
		u, err := s.CreateUpload(ctx, "r", nil)
		require.NoError(t, err)
		id := u.ID()
		_, err = u.Commit(ctx, digest.FromBytes(content), allOf(content))
		require.NoError(t, err)
		want := []string{"b", "r"}
		if size > storage.InlineSize {
			want = []string{"b", "data", "r", "r"}
		}
		slices.Sort(written)
		require.Equal(t, want, written)
		require.Empty(t, removed)

		// The upload has ended, and what the client tries now leaves the blob alone.
		_, err = u.Commit(ctx, digest.FromBytes(content), nil)
		require.ErrorIs(t, err, registry.ErrUploadUnknown)
		require.ErrorIs(t, u.Cancel(ctx), registry.ErrUploadUnknown)
		_, err = s.ResumeUpload(ctx, "r", id, nil)
		require.ErrorIs(t, err, registry.ErrUploadUnknown)
		got, err := readBlob(ctx, s, "r", digest.FromBytes(content))
		require.NoError(t, err)
		require.Equal(t, content, got)
	}
}

// TestCommitWithAllBytesTwice commits an upload in two processes, each with all bytes. The second
// shares the bytes of the first.
func TestCommitWithAllBytesTwice(t *testing.T) {
	d, ctx, content := newMemory(t), t.Context(), random(1, 100_000)
	one, two := newStore(t, d, nil), newStore(t, d, nil)
	u, err := one.CreateUpload(ctx, "r", nil)
	require.NoError(t, err)
	other, err := two.ResumeUpload(ctx, "r", u.ID(), nil)
	require.NoError(t, err)
	for _, u := range []registry.Upload{u, other} {
		_, err := u.Commit(ctx, digest.FromBytes(content), allOf(content))
		require.NoError(t, err)
	}
	require.Len(t, keys(t, d, "data/"), 1)
	require.Empty(t, keys(t, d, "u/"))
	got, err := readBlob(ctx, two, "r", digest.FromBytes(content))
	require.NoError(t, err)
	require.Equal(t, content, got)
}

// TestMismatchedCommitWithAllBytes: a commit of other bytes ends the upload and leaves nothing, unless
// another process has begun the upload.
func TestMismatchedCommitWithAllBytes(t *testing.T) {
	for _, size := range []int{10, 100_000} {
		d, ctx, content := newMemory(t), t.Context(), random(1, size)
		one, two := newStore(t, d, nil), newStore(t, d, nil)
		u, err := one.CreateUpload(ctx, "r", nil)
		require.NoError(t, err)
		_, err = u.Commit(ctx, digest.FromString("other"), allOf(content))
		require.ErrorIs(t, err, registry.ErrDigestInvalid)
		_, err = two.ResumeUpload(ctx, "r", u.ID(), nil)
		require.ErrorIs(t, err, registry.ErrUploadUnknown)
		require.Empty(t, keys(t, d, "data/"))

		u, err = one.CreateUpload(ctx, "r", nil)
		require.NoError(t, err)
		begun, err := two.ResumeUpload(ctx, "r", u.ID(), nil)
		require.NoError(t, err)
		_, err = begun.Append(ctx, 0, -1, bytes.NewReader(content))
		require.NoError(t, err)
		_, err = u.Commit(ctx, digest.FromString("other"), allOf(random(2, size)))
		require.ErrorIs(t, err, registry.ErrRangeInvalid)
		_, err = begun.Commit(ctx, digest.FromBytes(content), nil)
		require.NoError(t, err)
		require.Len(t, keys(t, d, "data/"), size/100_000)
	}
}

func TestExpireUploads(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, &storage.Options{UploadTTL: 2 * time.Second})
		old, err := s.CreateUpload(ctx, "r", nil)
		require.NoError(t, err)
		_, err = old.Append(ctx, 0, -1, bytes.NewReader(random(1, 100_000)))
		require.NoError(t, err)
		parts, err := s.CreateUpload(ctx, "r", nil)
		require.NoError(t, err)
		for i := range int64(2) {
			_, err = parts.Append(ctx, i*100_000, -1, bytes.NewReader(random(3, 100_000)))
			require.NoError(t, err)
		}
		desc := pushBlob(t, s, "r", random(2, 100_000))
		putImage(t, s, "r", image("", nil, desc), tags("v1"))
		n, err := s.ExpireUploads(ctx)
		require.NoError(t, err)
		require.Zero(t, n)
		time.Sleep(2200 * time.Millisecond)
		n, err = s.ExpireUploads(ctx)
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.Len(t, keys(t, d, "data/"), 2, "data that came in one part are left to collections")
		collected(t, s, noGrace)
		require.Len(t, keys(t, d, "data/"), 1)
		_, err = s.ResumeUpload(ctx, "r", old.ID(), nil)
		require.ErrorIs(t, err, registry.ErrUploadUnknown)
		_, err = old.Commit(ctx, digest.FromBytes(random(1, 100_000)), nil)
		require.ErrorIs(t, err, registry.ErrUploadUnknown, "a client with the upload cannot commit removed data")
		_, err = readBlob(ctx, s, "r", desc.Digest)
		require.NoError(t, err)
	})
}
