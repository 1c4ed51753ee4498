package mirror_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// TestABlobAfterItsManifestWasMissing asks for a digest as containerd does: as a manifest, and after
// the 404 as a blob. What the mirror remembers of the first request says nothing about the second.
func TestABlobAfterItsManifestWasMissing(t *testing.T) {
	r := newRig(t, nil)
	d := r.up.Blob("a/app", random(1000)).Digest
	for range 2 {
		_, err := r.m.GetManifest(t.Context(), repo, byDigest(d))
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
	}
	require.Equal(t, [3]int{0, 1, 0}, r.requests())
	_, err := r.m.StatBlob(t.Context(), repo, d, nil)
	require.NoError(t, err)
	_, err = read(t.Context(), r.m, repo, d)
	require.NoError(t, err)

	missing := r.up.Manifest("a/app", "", "application/vnd.oci.image.index.v1+json",
		[]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)).Digest
	_, err = read(t.Context(), r.m, repo, missing)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	_, err = r.m.GetManifest(t.Context(), repo, byDigest(missing))
	require.NoError(t, err)
}
