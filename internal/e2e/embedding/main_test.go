// Package embedding puts a registry into applications as they are found in practice, and pushes and
// pulls with a client library, which follows the Location and Link headers of the registry.
package embedding

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain fails if any of the tests leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openStore returns a store on a directory.
func openStore(t *testing.T, dir string) *storage.Store {
	t.Helper()
	driver, err := disk.New(dir, nil)
	require.NoError(t, err)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	return store
}

// newRegistry returns a registry over a backend; nil is an empty store on disk.
func newRegistry(t *testing.T, backend registry.Backend, opts *registry.Options) *registry.Registry {
	t.Helper()
	if backend == nil {
		backend = openStore(t, t.TempDir())
	}
	reg, err := registry.New(backend, opts)
	require.NoError(t, err)
	return reg
}

// serve starts a server and returns its host and port.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// get requires a response from the application around the registry.
func get(t *testing.T, url, want string) {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	b := new(strings.Builder)
	require.NoError(t, resp.Write(b))
	require.Contains(t, b.String(), want)
}

func parse(t *testing.T, ref string) name.Reference {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	require.NoError(t, err)
	return r
}

// randomImage is an image of two layers of 100 KB, unlike all others.
func randomImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(100_000, 2)
	require.NoError(t, err)
	return img
}

// pull reads an image, all of it, and compares the digests with those of what was pushed.
func pull(t *testing.T, ref name.Reference, pushed v1.Image, opts ...remote.Option) {
	t.Helper()
	want, err := pushed.Digest()
	require.NoError(t, err)
	img, err := remote.Image(ref, opts...)
	require.NoError(t, err)
	got, err := img.Digest()
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NoError(t, validate.Image(img))
}

// roundTrip pushes an image to two repositories, the second time by mounts, under two tags, lists
// the tags page by page, pulls, and deletes.
func roundTrip(t *testing.T, host string, opts ...remote.Option) {
	t.Helper()
	img := randomImage(t)
	one, other := parse(t, host+"/team/app:one"), parse(t, host+"/team/other:one")
	require.NoError(t, remote.Write(one, img, opts...))
	require.NoError(t, remote.Tag(one.Context().Tag("two"), img, opts...))
	pull(t, one, img, opts...)
	pushed, err := remote.Image(one, opts...)
	require.NoError(t, err)
	require.NoError(t, remote.Write(other, pushed, opts...))
	pull(t, other, img, opts...)

	tags, err := remote.List(one.Context(), append(opts, remote.WithPageSize(1))...)
	require.NoError(t, err)
	require.Equal(t, []string{"one", "two"}, tags)
	require.NoError(t, remote.Delete(one, opts...))
	_, err = remote.Head(one, opts...)
	requireStatus(t, err, http.StatusNotFound)
}

// requireStatus requires an error of the registry whose status the library has understood.
func requireStatus(t *testing.T, err error, status int) {
	t.Helper()
	var response *transport.Error
	require.ErrorAs(t, err, &response)
	require.Equal(t, status, response.StatusCode, "%v", err)
}
