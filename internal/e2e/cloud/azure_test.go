package cloud

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // the scheme of the URL

	"github.com/registrykit/registry/internal/e2e/cloud/kits"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/azure"
)

func azurePlace(t *testing.T, a *harness.Azurite) *kits.Place {
	kits.Setenv(t, a.Env())
	a.Create(t, "kits")
	return &kits.Place{
		Open:     func(t *testing.T) *blob.Bucket { return kits.OpenBucket(t, a.URL("kits", "")) },
		Provider: func() gocloud.Provider { return azure.Provider(nil) },
	}
}

func TestAzurite(t *testing.T) { azurePlace(t, harness.NewAzurite(t)).Run(t) }

// TestAzuriteNoContainer checks that a missing container is not reported as a missing object.
func TestAzuriteNoContainer(t *testing.T) {
	a := harness.NewAzurite(t)
	kits.Setenv(t, a.Env())
	d, err := gocloud.New(t.Context(), kits.OpenBucket(t, a.URL("absent", "")),
		&gocloud.Options{Providers: []gocloud.Provider{azure.Provider(nil)}})
	require.NoError(t, err)
	_, _, err = d.Open(t.Context(), "key", nil)
	kits.RequireUnavailable(t, err)
	_, err = d.Stat(t.Context(), "key")
	kits.RequireUnavailable(t, err)
	_, err = d.Put(t.Context(), "key", strings.NewReader("content"), nil)
	kits.RequireUnavailable(t, err)
	kits.RequireUnavailable(t, d.Delete(t.Context(), "key", ""))
	for _, err := range d.List(t.Context(), "", nil) {
		kits.RequireUnavailable(t, err)
	}
}
