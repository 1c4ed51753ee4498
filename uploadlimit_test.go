package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// TestUploadsBeyondLimitAreRefused: beyond the limit, every kind of POST is refused until an upload
// has ended.
func TestUploadsBeyondLimitAreRefused(t *testing.T) {
	s, err := storage.New(t.Context(), memory.New(nil), &storage.Options{MaxUploads: 2})
	require.NoError(t, err)
	c := serve(t, s, nil)
	c.want(202, "POST", "/v2/a/blobs/uploads/", nil)
	location := c.want(202, "POST", "/v2/b/blobs/uploads/", nil).Header.Get("Location")
	for _, query := range []string{"", "?mount=" + sha256Zeros, "?mount=" + sha256Zeros + "&from=b",
		"?digest=" + sha256Zeros} {
		a := c.refused(429, "TOOMANYREQUESTS", "POST", "/v2/a/blobs/uploads/"+query, nil)
		require.NotEmpty(t, a.Header.Get("Retry-After"))
	}
	c.want(204, "DELETE", location, nil)
	c.want(202, "POST", "/v2/a/blobs/uploads/", nil)
}
