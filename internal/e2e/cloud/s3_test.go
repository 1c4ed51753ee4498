package cloud

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // the scheme of the URL

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
	"github.com/registrykit/registry/storage/storagetest"
)

// setenv gives this process access to a server.
func setenv(t *testing.T, env []string) {
	t.Helper()
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

func openBucket(t *testing.T, url string) *blob.Bucket {
	t.Helper()
	b, err := blob.OpenBucket(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func s3Place(t *testing.T, o *harness.ObjectStore) *place {
	setenv(t, o.Env())
	return &place{
		open:     func(t *testing.T) *blob.Bucket { return openBucket(t, o.URL("")) },
		provider: func() gocloud.Provider { return s3.Provider(nil) },
		options:  storagetest.Options{ContentVersions: true, BlindDelete: true},
	}
}

func TestMinIO(t *testing.T) { s3Place(t, harness.NewMinIO(t)).kits(t) }
