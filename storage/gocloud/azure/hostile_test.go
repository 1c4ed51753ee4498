package azure_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/azureblob"

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/azure"
)

// open returns a driver on a container where everything is answered by a handler.
func open(t *testing.T, answer http.HandlerFunc) *gocloud.Driver {
	h := httptest.NewServer(answer)
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

// TestPanics: azureblob takes it for granted that an answer has all that those of the service have. Whoever has asked gets an error.
func TestPanics(t *testing.T) {
	for _, status := range []int{200, 206, 304} {
		d := open(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		for _, err := range d.List(t.Context(), "", nil) {
			require.Error(t, err)
		}
		_, err := d.Stat(t.Context(), "a")
		require.Error(t, err)
		_, _, err = d.Open(t.Context(), "a", nil)
		require.ErrorIs(t, err, storage.ErrUnavailable)
	}
}
