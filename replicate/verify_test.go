package replicate_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

func TestVerify(t *testing.T) {
	c, store := remote(t)
	for name, b := range map[string]registry.Backend{"store": registrytest.NewStore(t), "remote": c} {
		var w registry.Backend = b
		if name == "remote" {
			w = store
		}
		one, two := registrytest.RandomImage(1, 2, 500_000), registrytest.RandomImage(11, 2, 1000)
		index := registrytest.Index(one, two)
		push(t, w, "r", index, "v1")
		signature := registrytest.Artifact("x/y", index.Descriptor, nil)
		push(t, w, "r", signature)
		var last replicate.Progress
		opts := &replicate.Options{Referrers: true, Progress: func(p replicate.Progress) { last = p }}
		missing, err := replicate.Verify(t.Context(), b, "r:v1", opts)
		require.NoError(t, err)
		require.Empty(t, missing)
		require.Equal(t, last.BytesTotal, last.Copied)
		require.Equal(t, 7, last.Blobs)
		require.Equal(t, 4, last.Manifests)

		layer := digest.FromBytes(one.Blobs[2])
		require.NoError(t, w.DeleteBlob(t.Context(), "r", layer, nil))
		missing, err = replicate.Verify(t.Context(), b, "r:v1", nil)
		require.NoError(t, err)
		require.Len(t, missing, 1)
		require.Equal(t, layer, missing[0].Descriptor.Digest)
		require.Equal(t, one.Descriptor.Digest, missing[0].Parent)
		require.ErrorIs(t, missing[0].Err, registry.ErrBlobUnknown)

		require.NoError(t, w.DeleteManifest(t.Context(), "r", reference.Ref{Digest: two.Descriptor.Digest}, nil))
		missing, err = replicate.Verify(t.Context(), b, "r:v1", nil)
		require.NoError(t, err)
		require.Len(t, missing, 2)
		require.Equal(t, two.Descriptor.Digest, missing[0].Descriptor.Digest)
		require.ErrorIs(t, missing[0].Err, registry.ErrManifestUnknown)

		_, err = replicate.Verify(t.Context(), b, "r:none", nil)
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		_, err = replicate.Verify(t.Context(), b, "R", nil)
		require.Error(t, err)
	}
}

// TestVerifyFindsDamage changes bytes on the disk.
func TestVerifyFindsDamage(t *testing.T) {
	dir := t.TempDir()
	d, err := disk.New(dir, nil)
	require.NoError(t, err)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	image := registrytest.RandomImage(1, 1, 1<<20)
	push(t, s, "r", image, "v1")
	damaged := 0
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if info, err := e.Info(); err != nil || info.Size() < 1<<20 {
			return err
		}
		damaged++
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte("damage"), 1000)
		return err
	}))
	require.Equal(t, 1, damaged)
	missing, err := replicate.Verify(t.Context(), s, "r:v1", nil)
	require.NoError(t, err)
	require.Len(t, missing, 1)
	require.ErrorContains(t, missing[0].Err, "does not have the digest")
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	s := registrytest.NewStore(t)
	push(t, s, "r", registrytest.RandomImage(1, 1, 4<<20), "v1")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := replicate.Verify(ctx, s, "r:v1", &replicate.Options{Progress: func(p replicate.Progress) {
		if p.Copied > 0 {
			cancel()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
}

// keeper is a Pinner over two stores: like a mirror, it fetches what is read.
type keeper struct {
	registry.Backend
	upstream registry.Backend
	pinned   atomic.Value
}

func (k *keeper) Pin(_ context.Context, repo string, ref reference.Ref) error {
	k.pinned.Store(repo + " " + ref.String())
	return nil
}

func (k *keeper) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	return k.upstream.GetManifest(ctx, repo, ref)
}

func TestPin(t *testing.T) {
	store, upstream := registrytest.NewStore(t), registrytest.NewStore(t)
	image := registrytest.RandomImage(1, 2, 1000)
	push(t, upstream, "r", image, "v1")
	k := &keeper{Backend: store, upstream: upstream}
	missing, err := replicate.Pin(t.Context(), k, "r:v1", nil)
	require.NoError(t, err)
	require.Len(t, missing, 3, "the blobs")
	require.Equal(t, "r v1", k.pinned.Load())
	push(t, store, "r", image)
	missing, err = replicate.Pin(t.Context(), k, "r:v1", nil)
	require.NoError(t, err)
	require.Empty(t, missing)
	_, err = replicate.Pin(t.Context(), k, "r:none", nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = replicate.Pin(t.Context(), k, "r:v1", &replicate.Options{Platforms: []string{"?"}})
	require.Error(t, err)
}
