package kits

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

// LostBackend puts a proxy in front of a store. While the store is lost, the proxy itself responds
// with 404, which must not count as a missing object.
func LostBackend(t *testing.T, o *harness.ObjectStore) {
	Setenv(t, o.Env())
	var lost atomic.Bool
	through := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme,
			r.Out.URL.Host = "http", o.Addr
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if lost.Load() {
			http.NotFound(w, r)
			return
		}
		through.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	bucket := OpenBucket(t, o.URL(proxy.Listener.Addr().String()))
	d, err := gocloud.New(t.Context(), bucket, &gocloud.Options{Providers: []gocloud.Provider{s3.Provider(nil)}})
	require.NoError(t, err)
	info, err := d.Put(t.Context(), "key", strings.NewReader("content"), nil)
	require.NoError(t, err)
	_, err = d.Stat(t.Context(), "none")
	require.ErrorIs(t, err, driver.ErrNotExist)
	lost.Store(true)
	_, err = d.Stat(t.Context(), "key")
	RequireUnavailable(t, err)
	_, _, err = d.Open(t.Context(), "key", nil)
	RequireUnavailable(t, err)
	for _, err := range d.List(t.Context(), "", nil) {
		RequireUnavailable(t, err)
	}
	RequireUnavailable(t, d.Delete(t.Context(), "key", info.Version))
	lost.Store(false)
	got, err := d.Stat(t.Context(), "key")
	require.NoError(t, err)
	require.Equal(t, info.Version, got.Version)
	require.NoError(t, d.Delete(t.Context(), "key", info.Version))
	_, err = d.Stat(t.Context(), "key")
	require.ErrorIs(t, err, driver.ErrNotExist)
}

// RequireUnavailable requires that err reports neither that an object is missing nor that it has
// changed.
func RequireUnavailable(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.NotErrorIs(t, err, driver.ErrNotExist)
}
