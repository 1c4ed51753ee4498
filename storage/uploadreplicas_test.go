package storage_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// TestUploadAcrossStores sends each request of an upload to one of three Stores, at random. What
// a Store remembers of the upload is never mistaken for what another Store has received.
func TestUploadAcrossStores(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		stores := []*storage.Store{newStore(t, d, nil), newStore(t, d, nil), newStore(t, d, nil)}
		ctx := t.Context()
		for seed := range uint64(60) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			resume := func(id string, goOn bool) (registry.Upload, error) {
				return stores[rnd.IntN(len(stores))].ResumeUpload(ctx, "r", id, &registry.ResumeOptions{Continue: goOn})
			}
			u, err := stores[0].CreateUpload(ctx, "r", nil)
			require.NoError(t, err)
			id := u.ID()
			var content []byte
			for range rnd.IntN(5) {
				chunk := random(rnd.Uint64(), 1+rnd.IntN(12_000)*rnd.IntN(3))
				u, err := resume(id, true)
				require.NoError(t, err)
				_, err = u.Append(ctx, u.Size(), int64(len(chunk)), bytes.NewReader(chunk))
				require.NoError(t, err, "seed %d", seed)
				content = append(content, chunk...)
				if rnd.IntN(4) > 0 {
					id = u.ID()
				} else { // the response was lost, and the client asks for the offset
					u, err = resume(id, false)
					require.NoError(t, err)
					require.EqualValues(t, len(content), u.Size(), "seed %d", seed)
					id = u.ID()
				}
			}
			if len(content) > 0 && rnd.IntN(3) == 0 {
				u, err := resume(id, false)
				require.NoError(t, err)
				require.NoError(t, u.Cancel(ctx))
				u, err = resume(id, true)
				if err == nil {
					_, err = u.Commit(ctx, digest.FromBytes(content), nil)
				}
				require.ErrorIs(t, err, registry.ErrUploadUnknown, "seed %d", seed)
				continue
			}
			u, err = resume(id, true)
			require.NoError(t, err)
			desc, err := u.Commit(ctx, digest.FromBytes(content), nil)
			require.NoError(t, err, "seed %d", seed)
			got, err := readBlob(ctx, stores[rnd.IntN(len(stores))], "r", desc.Digest)
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got))
		}
	})
}

// TestCommitOfChunkReceivedByAnotherStore commits with the id from before a chunk whose response
// was lost, in a Store that does not know of the chunk.
func TestCommitOfChunkReceivedByAnotherStore(t *testing.T) {
	d := newMemory(t)
	one, two := newStore(t, d, nil), newStore(t, d, nil)
	for _, size := range []int{100, 100_000} {
		content := random(1, 2*size)
		u, err := one.CreateUpload(t.Context(), "r", nil)
		require.NoError(t, err)
		_, err = u.Append(t.Context(), 0, -1, bytes.NewReader(content[:size]))
		require.NoError(t, err)
		id := u.ID()
		u, err = two.ResumeUpload(t.Context(), "r", id, &registry.ResumeOptions{Continue: true})
		require.NoError(t, err)
		_, err = u.Append(t.Context(), int64(size), -1, bytes.NewReader(content[size:]))
		require.NoError(t, err)
		u, err = one.ResumeUpload(t.Context(), "r", id, &registry.ResumeOptions{Continue: true})
		require.NoError(t, err)
		require.EqualValues(t, size, u.Size(), "the Store uses the size that it knows")
		_, err = u.Commit(t.Context(), digest.FromBytes(content), nil)
		require.NoError(t, err)
	}
}
