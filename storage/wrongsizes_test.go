package storage_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// TestAcceptWrongSizes checks an index that states a wrong size for a child. With
// AcceptWrongSizes it is accepted, and even a Store without the option restores it after a
// delete. Otherwise it is refused.
func TestAcceptWrongSizes(t *testing.T) {
	driver := newMemory(t)
	strict := newStore(t, driver, withHistory)
	lax := newStore(t, driver, &storage.Options{AcceptWrongSizes: true, History: withHistory.History})
	child := putImage(t, strict, "r", image("", nil, pushBlob(t, strict, "r", []byte("{}"))), nil)
	child.Size += 100
	content := index(t, child)
	_, err := strict.PutManifest(t.Context(), "r", ocispec.MediaTypeImageIndex, content, tags("v1"))
	require.ErrorIs(t, err, registry.ErrManifestInvalid)
	desc := putIndex(t, lax, "r", tags("v1"), child)
	require.NoError(t, strict.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil))
	_, err = strict.Restore(t.Context(), "r", byDigest(desc.Digest), nil)
	require.NoError(t, err)
	m, err := strict.GetManifest(t.Context(), "r", byTag("v1"))
	require.NoError(t, err)
	require.Equal(t, content, m.Content)
}
