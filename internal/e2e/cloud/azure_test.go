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

// azurePlace has a container for each prefix, deleted at the end of its test: every request to
// Azurite searches all objects of the server, so the last tests of a kit would be the slowest.
func azurePlace(t *testing.T, a *harness.Azurite) *kits.Place {
	kits.Setenv(t, a.Env())
	containers := map[string]bool{}
	return &kits.Place{
		Open: func(t *testing.T, prefix string) *blob.Bucket {
			container := strings.Trim(prefix, "/")
			if !containers[container] {
				containers[container] = true
				a.Create(t, container)
				t.Cleanup(func() { a.Delete(t, container) })
			}
			return kits.OpenBucket(t, a.URL(container, ""))
		},
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
