package cloud

import (
	"testing"

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
