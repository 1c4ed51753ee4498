package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Two Stores on one Driver stand for two replicas in these tests.

func TestConcurrentPushesOfOneManifest(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		replicas := []*storage.Store{newStore(t, d, nil), newStore(t, d, nil)}
		config := pushBlob(t, replicas[0], "r", []byte("{}"))
		content := image("", nil, config)
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				_, err := replicas[i%2].PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content,
					tags(fmt.Sprint("t", i)))
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Len(t, collect(t, replicas[0].Tags(t.Context(), "r", nil)), 64)
	})
}

func TestConcurrentPushesOfOneBlob(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		replicas := []*storage.Store{newStore(t, d, nil), newStore(t, d, nil)}
		content := random(9, 50_000)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				if _, err := tryBlob(t.Context(), replicas[i%2], fmt.Sprint("r", i%4), content); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for i := range 4 {
			got, err := readBlob(t.Context(), replicas[0], fmt.Sprint("r", i), digest.FromBytes(content))
			require.NoError(t, err)
			require.True(t, bytes.Equal(content, got))
		}
	})
}

// TestConcurrentPushesAndDeletes pushes images with their blobs while other goroutines delete
// the same manifests, tags and the whole repository. A delete may have removed what a push was
// acknowledged for. What is visible is complete, and each tag leads to a manifest.
func TestConcurrentPushesAndDeletes(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		replicas := []*storage.Store{newStore(t, d, nil), newStore(t, d, nil)}
		const repo = "a/b"
		blobs := [][]byte{[]byte("{}"), random(1, 20_000), random(2, 100)}
		var descs []ocispec.Descriptor
		for _, b := range blobs {
			descs = append(descs, ocispec.Descriptor{
				MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(b), Size: int64(len(b))})
		}
		subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("s"), Size: 1}
		contents := [][]byte{image("1", nil, descs...), image("2", &subject, descs...)}
		expected := func(err error) bool {
			return err == nil || errors.Is(err, registry.ErrManifestUnknown) || errors.Is(err, registry.ErrNameUnknown) ||
				errors.Is(err, registry.ErrManifestBlobUnknown)
		}
		push := func(ctx context.Context, s *storage.Store, content []byte, tag string) error {
			for _, b := range blobs {
				if _, err := tryBlob(ctx, s, repo, b); err != nil {
					return err
				}
			}
			_, err := s.PutManifest(ctx, repo, ocispec.MediaTypeImageManifest, content, tags(tag))
			return err
		}
		var wg sync.WaitGroup
		for i := range 8 {
			s := replicas[i%2]
			r := rand.New(rand.NewPCG(uint64(i), 0))
			wg.Go(func() {
				for range 30 {
					content := contents[r.IntN(2)]
					var err error
					switch {
					case i < 5:
						err = push(t.Context(), s, content, fmt.Sprint("t", r.IntN(3)))
					case i == 5:
						err = s.DeleteManifest(t.Context(), repo, byDigest(digest.FromBytes(content)), nil)
					case i == 6:
						err = s.DeleteManifest(t.Context(), repo, byTag(fmt.Sprint("t", r.IntN(3))), nil)
					default:
						err = s.DeleteRepository(t.Context(), repo, nil)
					}
					if !expected(err) {
						t.Error(i, err)
					}
				}
			})
		}
		wg.Wait()
		checkWhole(t, replicas[0], repo, descs, contents)
		require.NoError(t, push(t.Context(), replicas[0], contents[0], "last"))
		require.Contains(t, collect(t, replicas[1].Repositories(t.Context(), nil)), repo)
		checkWhole(t, replicas[1], repo, descs, contents)
	})
}

// checkWhole checks that each tag leads to a manifest, and each visible manifest to its blobs.
func checkWhole(t *testing.T, s *storage.Store, repo string, blobs []ocispec.Descriptor, contents [][]byte) {
	t.Helper()
	ctx := t.Context()
	for tag, err := range s.Tags(ctx, repo, nil) {
		if errors.Is(err, registry.ErrNameUnknown) {
			break
		}
		require.NoError(t, err)
		_, err = s.GetManifest(ctx, repo, byTag(tag))
		require.NoError(t, err, "tag %s leads nowhere", tag)
	}
	for _, content := range contents {
		m, err := s.GetManifest(ctx, repo, byDigest(digest.FromBytes(content)))
		if errors.Is(err, registry.ErrManifestUnknown) {
			continue
		}
		require.NoError(t, err)
		require.Equal(t, content, m.Content)
		for _, b := range blobs {
			got, err := readBlob(ctx, s, repo, b.Digest)
			require.NoError(t, err)
			require.Equal(t, b.Digest, digest.FromBytes(got))
		}
	}
}
