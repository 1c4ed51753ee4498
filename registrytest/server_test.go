package registrytest_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

func TestServer(t *testing.T) {
	s := registrytest.NewServer(t, nil)
	img := registrytest.RandomImage(1, 2, 1000)
	require.Equal(t, img, registrytest.RandomImage(1, 2, 1000))
	require.NotEqual(t, img.Descriptor, registrytest.RandomImage(2, 2, 1000).Descriptor)
	index := registrytest.Index(img, registrytest.Artifact("application/x.test", img.Descriptor, nil))
	require.NoError(t, index.Push(context.Background(), s.Registry.Backend(auth.Identity{}), "a/b", "v1"))
	require.Equal(t, "http://"+s.Host, s.URL)

	res, err := http.Get(s.URL + "/v2/a/b/manifests/v1")
	require.NoError(t, err)
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, index.Manifest, content)
	require.Equal(t, index.Descriptor.Digest, digest.FromBytes(content))
	require.Equal(t, index.Descriptor.MediaType, res.Header.Get("Content-Type"))
}
