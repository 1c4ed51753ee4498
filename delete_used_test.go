package registry_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

// TestDeleteUsedBlob: with NoDelete.UsedBlobs, a blob that a manifest references is not deleted,
// over HTTP or by Go code. The response names the manifest.
func TestDeleteUsedBlob(t *testing.T) {
	store := registrytest.NewStore(t)
	img := registrytest.RandomImage(1, 1, 100)
	require.NoError(t, img.Push(t.Context(), store, "a", "v1"))
	reg, err := registry.New(store, &registry.Options{NoDelete: registry.NoDelete{UsedBlobs: true}})
	require.NoError(t, err)
	remove := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, path, nil))
		return w
	}
	d := digest.FromBytes(img.Blobs[1])
	w := remove("/v2/a/blobs/" + string(d))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Body.String(), `"DENIED"`)
	require.Contains(t, w.Body.String(), string(img.Descriptor.Digest))
	b := reg.Backend(auth.Identity{})
	require.ErrorIs(t, b.DeleteBlob(t.Context(), "a", d, nil), registry.ErrDenied)
	_, err = store.StatBlob(t.Context(), "a", d, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, remove("/v2/a/manifests/"+string(img.Descriptor.Digest)).Code)
	require.Equal(t, http.StatusAccepted, remove("/v2/a/blobs/"+string(d)).Code)
}
