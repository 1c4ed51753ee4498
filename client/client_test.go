package client_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newClient returns a client with its own connections.
func newClient(t testing.TB, baseURL string, opts *client.Options) *client.Client {
	t.Helper()
	var o client.Options
	if opts != nil {
		o = *opts
	}
	tr := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(tr.CloseIdleConnections)
	o.HTTPClient = &http.Client{Transport: tr}
	c, err := client.New(baseURL, &o)
	require.NoError(t, err)
	return c
}

// remote lists what the client cannot express over HTTP.
var remote = registrytest.Options{
	NoDeleteRepository: true, NoMountSearch: true, NoIfAbsent: true, NoReports: true, Remote: true,
}

func TestBackend(t *testing.T) {
	var url string
	key := []byte("shared by the clients")
	opts := remote
	opts.Reopen = func(t *testing.T, _ registry.Backend) registry.Backend {
		return newClient(t, url, &client.Options{UploadKey: key, Conditional: true})
	}
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		url = registrytest.NewServer(t, nil).URL
		return newClient(t, url, &client.Options{UploadKey: key, Conditional: true})
	}, &opts)
}

// TestBackendSmallPages runs the kit with pages and chunks far smaller than requested.
func TestBackendSmallPages(t *testing.T) {
	opts := remote
	opts.LargeSize, opts.Appends, opts.NoConditions = 1<<20, 100, true
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		s := registrytest.NewServer(t, &registry.Options{PageSize: 7})
		return newClient(t, s.URL, &client.Options{ChunkSize: 100_000})
	}, &opts)
}

func BenchmarkBackend(b *testing.B) {
	registrytest.BenchmarkBackend(b, func(b *testing.B) registry.Backend {
		return newClient(b, registrytest.NewServer(b, nil).URL, nil)
	})
}
