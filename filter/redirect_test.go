package filter_test

import (
	"context"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// signer is a driver that signs URLs.
type signer struct{ driver.Driver }

func (signer) SignedURL(_ context.Context, key string, _ time.Duration) (string, error) {
	return "https://bucket.example/" + key, nil
}

// TestSubPassesURLsOn checks that a client of one tenant is redirected to the storage like any other.
func TestSubPassesURLsOn(t *testing.T) {
	store, err := storage.New(t.Context(), signer{memory.New(nil)}, &storage.Options{
		Redirect: &storage.RedirectOptions{MinSize: 1},
	})
	require.NoError(t, err)
	tenant, err := filter.Sub(store, "tenant")
	require.NoError(t, err)
	img := registrytest.RandomImage(1, 1, 50_000)
	require.NoError(t, img.Push(t.Context(), tenant, "app", "v1"))
	layer := digest.FromBytes(img.Blobs[1])
	blob, err := tenant.OpenBlob(t.Context(), "app", layer, &registry.OpenOptions{AllowURL: true})
	require.NoError(t, err)
	require.Regexp(t, `^https://bucket\.example/data/`, blob.URL)
	require.Nil(t, blob.Body)
	blob, err = tenant.OpenBlob(t.Context(), "app", layer, nil)
	require.NoError(t, err)
	require.NoError(t, blob.Body.Close())
	require.Empty(t, blob.URL)
}
