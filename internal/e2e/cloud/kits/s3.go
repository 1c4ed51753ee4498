package kits

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // the scheme of the URL

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

// Setenv gives this process access to a server.
func Setenv(t *testing.T, env []string) {
	t.Helper()
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

// OpenBucket opens the bucket at a URL for a test, which closes it.
func OpenBucket(t *testing.T, url string) *blob.Bucket {
	t.Helper()
	b, err := blob.OpenBucket(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// S3 is a server that speaks S3.
func S3(t *testing.T, o *harness.ObjectStore) *Place {
	Setenv(t, o.Env())
	return &Place{
		Open:     func(t *testing.T, _ string) *blob.Bucket { return OpenBucket(t, o.URL("")) },
		Provider: func() gocloud.Provider { return s3.Provider(nil) },
		Options:  drivertest.Options{ContentVersions: true, BlindDelete: true},
	}
}
