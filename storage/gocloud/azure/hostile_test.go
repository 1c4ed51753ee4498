package azure_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/azureblob"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/azure"
)

// open returns a driver on a container whose requests all go to a handler.
func open(t *testing.T, respond http.HandlerFunc) *gocloud.Driver {
	h := httptest.NewServer(respond)
	t.Cleanup(h.Close)
	client, err := container.NewClientWithNoCredential(h.URL+"/account/container", &container.ClientOptions{
		ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}},
	})
	require.NoError(t, err)
	bucket, err := azureblob.OpenBucket(t.Context(), client, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	d, err := gocloud.New(t.Context(), bucket, &gocloud.Options{Providers: []gocloud.Provider{azure.Provider(nil)}})
	require.NoError(t, err)
	return d
}

// TestPanicOfClientIsUnavailable: azureblob panics if a response lacks headers that the service
// always sends. The caller gets an error instead.
func TestPanicOfClientIsUnavailable(t *testing.T) {
	for _, status := range []int{200, 206, 304} {
		d := open(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		for _, err := range d.List(t.Context(), "", nil) {
			require.Error(t, err)
		}
		_, err := d.Stat(t.Context(), "a")
		require.Error(t, err)
		_, _, err = d.Open(t.Context(), "a", nil)
		require.ErrorIs(t, err, driver.ErrUnavailable)
	}
}

// TestResponseOfProxyIsUnavailable: only a response of the service itself means that a blob is
// missing, that a condition has failed, or that an operation is done.
func TestResponseOfProxyIsUnavailable(t *testing.T) {
	for _, status := range []int{200, 201, 202, 204, 206, 301, 302, 304, 400, 404, 412, 416} {
		for _, body := range []string{
			"", "404 page not found", "<html><body>welcome</body></html>", "<Error><Code>InvalidRange</Code></Error>",
			"<EnumerationResults><NextMarker/></EnumerationResults>",
		} {
			d := open(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
			errs := map[string]error{}
			for _, err := range d.List(t.Context(), "", nil) {
				errs["list"] = err
			}
			_, errs["stat"] = d.Stat(t.Context(), "a")
			_, _, errs["open"] = d.Open(t.Context(), "a", nil)
			_, _, errs["range"] = d.Open(t.Context(), "a", &driver.OpenOptions{Offset: 1})
			_, errs["put"] = d.Put(t.Context(), "a", strings.NewReader("x"), nil)
			_, errs["create"] = d.Put(t.Context(), "a", strings.NewReader("x"), &driver.PutOptions{IfAbsent: true})
			_, errs["replace"] = d.Put(t.Context(), "a", strings.NewReader("x"), &driver.PutOptions{IfVersion: `"x"`})
			errs["delete"] = d.Delete(t.Context(), "a", `"x"`)
			require.Len(t, errs, 8)
			for what, err := range errs {
				require.Error(t, err, "%s: %d %q", what, status, body)
				for _, known := range []error{driver.ErrNotExist, driver.ErrExist, driver.ErrChanged, driver.ErrNotModified} {
					require.NotErrorIs(t, err, known, "%s: %d %q", what, status, body)
				}
			}
		}
	}
}

// TestFailureClassifiesCodes checks the error for each code of the service.
func TestFailureClassifiesCodes(t *testing.T) {
	for _, c := range []struct {
		status int
		code   string
		is     error
	}{
		{404, "BlobNotFound", driver.ErrNotExist},
		{404, "ContainerNotFound", driver.ErrUnavailable},
		{412, "ConditionNotMet", driver.ErrChanged},
		{412, "LeaseIdMissing", driver.ErrUnavailable},
	} {
		d := open(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Ms-Error-Code", c.code)
			w.WriteHeader(c.status)
		})
		_, err := d.Stat(t.Context(), "a")
		require.ErrorIs(t, err, c.is)
		_, _, err = d.Open(t.Context(), "a", nil)
		require.ErrorIs(t, err, c.is)
	}
}
