package storage_test

import (
	"bytes"
	"io"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// createFollowed begins an upload.
func createFollowed(t testing.TB, s *storage.Store, opts *registry.UploadOptions) storage.FollowUpload {
	u, err := s.CreateUpload(t.Context(), "r", opts)
	require.NoError(t, err)
	return u.(storage.FollowUpload)
}

// follow resumes an upload by its ID.
func follow(t testing.TB, s *storage.Store, id string) storage.FollowUpload {
	u, err := s.ResumeUpload(t.Context(), "r", id, nil)
	require.NoError(t, err)
	return u.(storage.FollowUpload)
}

// readSnapshot returns all bytes of a snapshot.
func readSnapshot(t testing.TB, s storage.Snapshot) ([]byte, error) {
	r := s.Open(t.Context())
	defer func() { require.NoError(t, r.Close()) }()
	return io.ReadAll(r)
}

// TestSnapshotsWhileAnUploadGrows compares each state of an upload with the bytes that it has then.
// Another Store follows the upload. The sizes of the chunks let some stay in the record, some
// become segments, and some be merged.
func TestSnapshotsWhileAnUploadGrows(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		for _, algorithm := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			filler := createFollowed(t, newStore(t, d, nil), &registry.UploadOptions{Algorithm: algorithm})
			require.Zero(t, filler.Snapshot().Size())
			var follower storage.FollowUpload
			var content []byte
			for i, size := range []int{10, 5000, 20_000, 100_000, 100_000, 1, 100_000, 300_000, 50} {
				before, older := filler.Snapshot(), bytes.Clone(content)
				chunk := random(uint64(i), size)
				_, err := filler.Append(t.Context(), filler.Size(), -1, bytes.NewReader(chunk))
				require.NoError(t, err)
				content = append(content, chunk...)
				if follower == nil {
					follower = follow(t, newStore(t, d, nil), filler.ID())
				}
				require.NoError(t, follower.Refresh(t.Context()))
				for _, u := range []storage.FollowUpload{filler, follower} {
					require.EqualValues(t, len(content), u.Size())
					got, err := u.Digest()
					require.NoError(t, err)
					require.Equal(t, algorithm.FromBytes(content), got)
					s := u.Snapshot()
					require.EqualValues(t, len(content), s.Size())
					read, err := readSnapshot(t, s)
					require.NoError(t, err)
					require.True(t, bytes.Equal(content, read))
				}
				require.EqualValues(t, len(older), before.Size(), "a snapshot stays as it is")
				if read, err := readSnapshot(t, before); err == nil {
					require.True(t, bytes.Equal(older, read))
				} else {
					require.ErrorIs(t, err, driver.ErrNotExist)
				}
			}
		}
	})
}

// TestSnapshotOfMergedSegments reads a snapshot whose segments were merged. The read fails with
// driver.ErrNotExist, and continues with a newer snapshot at the same position.
func TestSnapshotOfMergedSegments(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		u := createFollowed(t, newStore(t, d, nil), nil)
		content := random(1, 300_000)
		for at := 0; at < 200_000; at += 100_000 {
			_, err := u.Append(t.Context(), int64(at), -1, bytes.NewReader(content[at:at+100_000]))
			require.NoError(t, err)
		}
		old := u.Snapshot()
		partial := old.Open(t.Context())
		defer partial.Close()
		head := make([]byte, 1000)
		_, err := io.ReadFull(partial, head)
		require.NoError(t, err)
		_, err = u.Append(t.Context(), 200_000, -1, bytes.NewReader(content[200_000:]))
		require.NoError(t, err)
		objects, _ := dataObjects(t, d)
		require.Equal(t, 1, objects, "the segments were merged")
		_, err = readSnapshot(t, old)
		require.ErrorIs(t, err, driver.ErrNotExist)
		// What is open can be read to its end, the next segment cannot.
		rest, err := io.ReadAll(partial)
		require.ErrorIs(t, err, driver.ErrNotExist)
		at := int64(len(head) + len(rest))
		newer := u.Snapshot().Open(t.Context())
		defer newer.Close()
		_, err = newer.Seek(at, io.SeekStart)
		require.NoError(t, err)
		tail, err := io.ReadAll(newer)
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, append(append(head, rest...), tail...)))
	})
}

// TestFollowAfterTheEnd checks what a follower sees of an upload that was committed or cancelled.
// After a commit, a snapshot reads the bytes or fails with driver.ErrNotExist; the blob has them.
func TestFollowAfterTheEnd(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		for _, size := range []int{10, 100_000} {
			for _, ending := range []string{"commit", "commit of known content", "cancel"} {
				s, content := newStore(t, d, nil), random(uint64(size), size)
				if ending == "commit of known content" {
					pushBlob(t, s, "other", content)
				}
				filler := createFollowed(t, s, nil)
				_, err := filler.Append(t.Context(), 0, -1, bytes.NewReader(content))
				require.NoError(t, err)
				other := newStore(t, d, nil)
				follower := follow(t, other, filler.ID())
				snapshot := follower.Snapshot()
				if ending == "cancel" {
					require.NoError(t, filler.Cancel(t.Context()))
					_, err = filler.Digest()
					require.ErrorIs(t, err, registry.ErrUploadUnknown)
					require.Zero(t, filler.Snapshot().Size())
				} else {
					_, err = filler.Commit(t.Context(), digest.FromBytes(content), nil)
					require.NoError(t, err)
					got, err := filler.Digest()
					require.NoError(t, err)
					require.Equal(t, digest.FromBytes(content), got)
				}
				for _, u := range []storage.FollowUpload{filler, follower} {
					require.ErrorIs(t, u.Refresh(t.Context()), registry.ErrUploadUnknown, ending)
				}
				require.EqualValues(t, size, follower.Size(), "a failed Refresh changes nothing")
				read, err := readSnapshot(t, snapshot)
				if err == nil {
					require.True(t, bytes.Equal(content, read))
				} else {
					require.ErrorIs(t, err, driver.ErrNotExist)
				}
				if ending != "cancel" {
					read, err = readBlob(t.Context(), other, "r", digest.FromBytes(content))
					require.NoError(t, err)
					require.True(t, bytes.Equal(content, read))
					require.NoError(t, s.DeleteBlob(t.Context(), "r", digest.FromBytes(content), nil))
				}
				collected(t, s, noGrace)
			}
		}
	})
}

// TestManyReadersOfSnapshots lets readers take the newest snapshot from a channel of one goroutine
// that appends, as a mirror does.
func TestManyReadersOfSnapshots(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		const chunk, chunks = 60_000, 12
		content := random(7, chunk*chunks)
		u := createFollowed(t, newStore(t, d, nil), nil)
		var mu sync.Mutex
		newest := u.Snapshot()
		var wg sync.WaitGroup
		done := make(chan struct{})
		for range 4 {
			wg.Go(func() {
				for ended := false; !ended; {
					select {
					case <-done:
						ended = true // look once more
					default:
					}
					mu.Lock()
					s := newest
					mu.Unlock()
					r := s.Open(t.Context())
					got, err := io.ReadAll(r)
					_ = r.Close()
					if err == nil && !bytes.Equal(got, content[:s.Size()]) {
						t.Error("wrong bytes")
					}
				}
			})
		}
		for at := 0; at < len(content); at += chunk {
			_, err := u.Append(t.Context(), int64(at), chunk, bytes.NewReader(content[at:at+chunk]))
			require.NoError(t, err)
			s := u.Snapshot()
			mu.Lock()
			newest = s
			mu.Unlock()
		}
		close(done)
		wg.Wait()
	})
}

// TestSnapshotHandsOutFiles checks that a server can send the segments of a snapshot by sendfile.
func TestSnapshotHandsOutFiles(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		u := createFollowed(t, newStore(t, d, nil), nil)
		content := random(1, 120_000)
		for _, part := range [][2]int{{0, 100_000}, {100_000, 120_000}} {
			_, err := u.Append(t.Context(), int64(part[0]), -1, bytes.NewReader(content[part[0]:part[1]]))
			require.NoError(t, err)
		}
		r := u.Snapshot().Open(t.Context())
		defer r.Close()
		var got []byte
		var sizes []int64
		for {
			source, n, err := r.(registry.FileSource).Source()
			require.NoError(t, err)
			if n == 0 {
				break
			}
			if _, isFile := source.(syscall.Conn); isFile {
				sizes = append(sizes, n)
			}
			part, err := io.ReadAll(io.LimitReader(source, n))
			require.NoError(t, err)
			require.EqualValues(t, n, len(part))
			got = append(got, part...)
			_, err = r.Seek(int64(len(got)), io.SeekStart)
			require.NoError(t, err)
		}
		require.True(t, bytes.Equal(content, got))
		if len(sizes) > 0 { // on disk
			require.Equal(t, []int64{100_000, 20_000}, sizes)
		}
	})
}

// A snapshot belongs to the blob that its upload has become, and to no blob that has come otherwise.
func TestSnapshotBecame(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		for _, size := range []int{100, 100_000} {
			blob := random(uint64(size), 2*size)
			committed, cancelled := createFollowed(t, s, nil), createFollowed(t, s, nil)
			var snapshots []storage.Snapshot
			for _, u := range []storage.FollowUpload{committed, cancelled} {
				first := blob[:size]
				if u == cancelled {
					first = random(9, size)
				}
				_, err := u.Append(t.Context(), 0, int64(size), bytes.NewReader(first))
				require.NoError(t, err)
				snapshots = append(snapshots, u.Snapshot())
			}
			became, err := snapshots[0].Became(t.Context(), digest.FromBytes(blob))
			require.NoError(t, err)
			require.False(t, became, "nothing is committed")
			_, err = committed.Append(t.Context(), int64(size), int64(size), bytes.NewReader(blob[size:]))
			require.NoError(t, err)
			_, err = committed.Commit(t.Context(), digest.FromBytes(blob), nil)
			require.NoError(t, err)
			require.NoError(t, cancelled.Cancel(t.Context()))
			for i, snapshot := range snapshots {
				became, err := snapshot.Became(t.Context(), digest.FromBytes(blob))
				require.NoError(t, err)
				require.Equal(t, i == 0, became, "size %d", size)
			}
		}
	})
}
