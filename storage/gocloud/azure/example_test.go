package azure_test

import (
	"context"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	cloudblob "gocloud.dev/blob"
	_ "gocloud.dev/blob/azureblob" // for azblob:// URLs

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/azure"
)

// The URL selects the container. The account and its credentials come from the environment
// (AZURE_STORAGE_ACCOUNT and others).
func ExampleProvider() {
	ctx := context.Background()
	bucket, err := cloudblob.OpenBucket(ctx, "azblob://my-container")
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	tier := blob.AccessTierCool
	driver, err := gocloud.New(ctx, bucket, &gocloud.Options{
		Prefix: "registry/",
		Providers: []gocloud.Provider{azure.Provider(&azure.Options{
			BeforeWrite: func(as func(any) bool) error {
				var upload *blockblob.UploadOptions
				if as(&upload) {
					upload.Tier = &tier
				}
				var commit *blockblob.CommitBlockListOptions
				if as(&commit) {
					commit.Tier = &tier
				}
				return nil
			},
		})},
	})
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(ctx, driver, nil)
	if err != nil {
		log.Fatal(err)
	}
	_ = store // registry.New(store, nil)
}
