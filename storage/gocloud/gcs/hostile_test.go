package gcs_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	cloud "cloud.google.com/go/storage"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/gcsblob"
	"google.golang.org/api/option"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/gcs"
)

// open returns a driver on a bucket whose requests all go to a handler.
func open(t *testing.T, respond http.HandlerFunc) *gocloud.Driver {
	h := httptest.NewServer(respond)
	t.Cleanup(h.Close)
	client, err := cloud.NewClient(t.Context(), option.WithoutAuthentication(), option.WithEndpoint(h.URL+"/storage/v1/"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	bucket, err := gcsblob.OpenBucket(t.Context(), nil, "bucket", &gcsblob.Options{Client: client})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	d, err := gocloud.New(t.Context(), bucket,
		&gocloud.Options{Providers: []gocloud.Provider{gcs.Provider(&gcs.Options{Attempts: 1})}})
	require.NoError(t, err)
	return d
}

// TestResponseOfProxyIsUnavailable: only a response of the store itself means that an object is
// missing or that a condition has failed. Three responses of a proxy cannot be distinguished from
// those of the store: 404 to a read (the client of the XML API ignores the body), 204 to a list,
// and 200 to a DELETE.
func TestResponseOfProxyIsUnavailable(t *testing.T) {
	for _, status := range []int{200, 206, 301, 302, 400, 404, 412, 416} {
		for _, body := range []string{"", "404 page not found", "<html><body>welcome</body></html>"} {
			d := open(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/login" {
					return
				}
				w.Header().Set("Location", "/login")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
			errs := map[string]error{}
			for _, err := range d.List(t.Context(), "", nil) {
				errs["list"] = err
			}
			_, errs["stat"] = d.Stat(t.Context(), "a")
			_, errs["put"] = d.Put(t.Context(), "a", strings.NewReader("x"), nil)
			_, errs["create"] = d.Put(t.Context(), "a", strings.NewReader("x"), &driver.PutOptions{IfAbsent: true})
			_, errs["replace"] = d.Put(t.Context(), "a", strings.NewReader("x"), &driver.PutOptions{IfVersion: "1"})
			require.Len(t, errs, 5)
			if status != http.StatusNotFound {
				_, _, errs["open"] = d.Open(t.Context(), "a", nil)
				_, _, errs["range"] = d.Open(t.Context(), "a", &driver.OpenOptions{Offset: 1})
			}
			if status >= 400 {
				errs["delete"] = d.Delete(t.Context(), "a", "1")
			}
			for what, err := range errs {
				require.Error(t, err, "%s: %d %q", what, status, body)
				for _, known := range []error{driver.ErrNotExist, driver.ErrExist, driver.ErrChanged, driver.ErrNotModified} {
					require.NotErrorIs(t, err, known, "%s: %d %q", what, status, body)
				}
			}
		}
	}
}
