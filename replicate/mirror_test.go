package replicate_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestPinAndCopyFromAMirror makes an image complete in a mirror, and copies it when the upstream is
// gone.
func TestPinAndCopyFromAMirror(t *testing.T) {
	behind := registrytest.NewStore(t)
	reg, err := registry.New(behind, nil)
	require.NoError(t, err)
	upstream := httptest.NewServer(reg)
	defer upstream.Close()
	amd, arm := registrytest.RandomImage(1, 2, 300_000), registrytest.RandomImage(11, 2, 300_000)
	index := platformIndex(t, "application/vnd.oci.image.index.v1+json",
		map[string]*registrytest.Content{"linux/amd64": amd, "linux/arm64": arm}, "linux/amd64", "linux/arm64")
	signature := registrytest.Artifact("x/signature", index.Descriptor, nil)
	push(t, behind, "team/app", index, "v1")
	push(t, behind, "team/app", signature)
	push(t, behind, "team/app", registrytest.RandomImage(21, 1, 100), cosignTag(index, ".sig"))

	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	m, err := mirror.New(t.Context(), store, d,
		[]mirror.Upstream{{Name: "up.example", URLs: []string{upstream.URL}}}, nil)
	require.NoError(t, err)
	opts := &replicate.Options{Referrers: true}
	missing, err := replicate.Pin(t.Context(), m, "up.example/team/app:v1", opts)
	require.NoError(t, err)
	require.Empty(t, missing)

	upstream.Close()
	missing, err = replicate.Verify(t.Context(), m, "up.example/team/app:v1", opts)
	require.NoError(t, err)
	require.Empty(t, missing)
	dst := registrytest.NewStore(t)
	opts.To = "app:v1"
	_, err = replicate.Copy(t.Context(), dst, m, "up.example/team/app:v1", opts)
	require.NoError(t, err)
	requireImage(t, dst, "app", index)
	requireImage(t, dst, "app", signature)
	require.Equal(t, []string{cosignTag(index, ".sig"), "v1"}, tagsOf(t, dst, "app"))
}
