package storage_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// missingLayer is a layer that no repository has.
var missingLayer = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("missing"),
	Size: 7}

// refusedOften pushes ten manifests of 1 MiB that name a missing blob.
func refusedOften(t *testing.T, s *storage.Store) {
	t.Helper()
	config := pushBlob(t, s, "r", []byte("{}"))
	for i := range 10 {
		content := image(fmt.Sprint(i, strings.Repeat("x", 1<<20)), nil, config, missingLayer)
		_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content, tags("t"))
		require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	}
}

// TestRefusedPushWithGraceLeavesNothing checks that a refused push leaves nothing if there is a
// grace period, which keeps what the next push needs.
func TestRefusedPushWithGraceLeavesNothing(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		refusedOften(t, newStore(t, d, nil))
		require.Empty(t, keys(t, d, "r/r/m/"))
		require.Empty(t, keys(t, d, "r/r/t/"))
	})
}

// TestRefusedPushWithoutGraceLeavesRecord checks that, without a grace period, a refused push
// leaves a record of what its manifest names, but not the content. A collection removes the
// record after a minute.
func TestRefusedPushWithoutGraceLeavesRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory(t)
		s := newStore(t, d, &storage.Options{Grace: -1})
		refusedOften(t, s)
		require.Len(t, keys(t, d, "r/r/m/"), 10)
		require.Less(t, used(t, d), int64(20_000))
		collected(t, s, nil)
		require.Len(t, keys(t, d, "r/r/m/"), 10)
		time.Sleep(time.Minute)
		collected(t, s, nil)
		require.Empty(t, keys(t, d, "r/"))
	})
}

// TestRefusedPushRenewsWhatItFound checks that the blobs and manifests that a refused push has
// found exist for the next push, even if they were about to be collected.
func TestRefusedPushRenewsWhatItFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const grace = 10 * time.Minute
		d := newMemory(t)
		s := newStore(t, d, &storage.Options{Grace: grace})
		untagged := &storage.CollectOptions{Untagged: true}
		layer := random(1, 50_000)
		config, found := pushBlob(t, s, "r", []byte("{}")), pushBlob(t, s, "r", layer)
		img := image("one", nil, config, found, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer,
			Digest: digest.FromString("late"), Size: 4})
		child := putImage(t, s, "r", image("child", nil, config), nil)
		absent := child
		absent.Digest = digest.FromString("absent")
		time.Sleep(grace - time.Second)
		for _, put := range []func() error{
			func() error {
				_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, img, nil)
				return err
			},
			func() error {
				_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageIndex, index(t, child, absent), nil)
				return err
			},
		} {
			require.ErrorIs(t, put(), registry.ErrManifestBlobUnknown)
		}
		time.Sleep(time.Minute - time.Second)
		collected(t, s, untagged)
		pushBlob(t, s, "r", []byte("late"))
		putImage(t, s, "r", img, tags("t"))
		putIndex(t, s, "r", tags("i"), child)
	})
}
