package embedding

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/registrykit/registry"
	"github.com/stretchr/testify/require"
)

// TestHosts runs two registries in one process, which the host name distinguishes. Neither serves
// the content of the other.
func TestHosts(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("one.example.test/v2/", newRegistry(t, nil, nil))
	mux.Handle("two.example.test/v2/", newRegistry(t, nil,
		&registry.Options{NoDelete: registry.NoDelete{Manifests: true}}))
	addr := serve(t, mux)

	// As a resolver would that knows both names.
	dialer := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, addr)
	}}
	t.Cleanup(dialer.CloseIdleConnections)
	there := remote.WithTransport(dialer)
	roundTrip(t, "one.example.test", there)
	roundTrip(t, "two.example.test", there)

	img := randomImage(t)
	one, two := parse(t, "one.example.test/app:latest"), parse(t, "two.example.test/app:latest")
	require.NoError(t, remote.Write(one, img, there))
	_, err := remote.Head(two, there)
	requireStatus(t, err, http.StatusNotFound)
	layers, err := img.Layers()
	require.NoError(t, err)
	layer, err := partial.Descriptor(layers[0])
	require.NoError(t, err)
	blob, err := remote.Layer(two.Context().Digest(layer.Digest.String()), there)
	require.NoError(t, err)
	_, err = blob.Compressed()
	requireStatus(t, err, http.StatusNotFound)
	require.NoError(t, remote.Write(two, img, there))
	pull(t, two, img, there)

	// Each has options of its own.
	digest, err := img.Digest()
	require.NoError(t, err)
	require.NoError(t, remote.Delete(one.Context().Digest(digest.String()), there))
	requireStatus(t, remote.Delete(two.Context().Digest(digest.String()), there), http.StatusMethodNotAllowed)
	pull(t, two, img, there)

	resp, err := http.Get("http://" + addr + "/v2/")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusNotFound, resp.StatusCode, "a host that nobody serves")
}
