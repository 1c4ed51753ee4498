package s3_test

import (
	"context"
	"log"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob" // for s3:// URLs

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

// The URL selects the bucket. The credentials come from the environment. For another store with the
// S3 protocol, the URL also has the parameters endpoint and use_path_style.
func ExampleProvider() {
	ctx := context.Background()
	bucket, err := blob.OpenBucket(ctx, "s3://my-bucket?region=eu-central-1")
	if err != nil {
		log.Fatal(err)
	}
	defer bucket.Close()
	driver, err := gocloud.New(ctx, bucket, &gocloud.Options{
		Prefix: "registry/",
		Providers: []gocloud.Provider{s3.Provider(&s3.Options{
			BeforeWrite: func(as func(any) bool) error {
				var put *awss3.PutObjectInput
				if as(&put) {
					put.ServerSideEncryption = types.ServerSideEncryptionAwsKms
				}
				var create *awss3.CreateMultipartUploadInput
				if as(&create) {
					create.ServerSideEncryption = types.ServerSideEncryptionAwsKms
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
