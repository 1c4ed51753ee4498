// Package cloud runs the test suites for drivers and Backends on real storage servers.
package cloud

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/cloud/kits"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

func TestMinIO(t *testing.T) { kits.S3(t, harness.NewMinIO(t)).Run(t) }

func s3Driver(t *testing.T, o *harness.ObjectStore, parts gocloud.Parts, opts *s3.Options,
	params ...string) *gocloud.Driver {
	t.Helper()
	kits.Setenv(t, o.Env())
	d, err := gocloud.New(t.Context(), kits.OpenBucket(t, o.URL("")+strings.Join(params, "")),
		&gocloud.Options{Parts: parts, Providers: []gocloud.Provider{s3.Provider(opts)}})
	require.NoError(t, err)
	return d
}

// TestMinIOAborts checks that a failed upload leaves neither an object nor a part.
func TestMinIOAborts(t *testing.T) {
	o := harness.NewMinIO(t)
	d := s3Driver(t, o, gocloud.Parts{}, nil)
	lost := errors.New("the client has gone")
	body := func() io.Reader {
		return io.MultiReader(harness.Random(1, 30<<20), iotest.ErrReader(lost))
	}
	_, err := d.Put(t.Context(), "data/body", body(), nil)
	require.ErrorIs(t, err, lost)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = d.Put(ctx, "data/cancelled", io.MultiReader(harness.Random(2, 30<<20), readerFunc(func([]byte) (int, error) {
		cancel()
		<-ctx.Done()
		return 0, ctx.Err()
	})), nil)
	require.ErrorIs(t, err, context.Canceled)
	_, err = d.Put(t.Context(), "data/there", bytes.NewReader([]byte("x")), nil)
	require.NoError(t, err)
	_, err = d.Put(t.Context(), "data/there", harness.Random(3, 30<<20), &driver.PutOptions{IfAbsent: true})
	require.ErrorIs(t, err, driver.ErrExist)
	for _, key := range []string{"data/body", "data/cancelled", "data/there"} {
		uploads, err := o.Client("").ListMultipartUploads(t.Context(),
			&awss3.ListMultipartUploadsInput{Bucket: &o.Bucket, Prefix: &key})
		require.NoError(t, err)
		require.Empty(t, uploads.Uploads)
	}
	for _, key := range []string{"data/body", "data/cancelled"} {
		_, err = d.Stat(t.Context(), key)
		require.ErrorIs(t, err, driver.ErrNotExist)
	}
	// Make sure that the list above would show an upload.
	_, err = o.Client("").CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &o.Bucket,
		Key: aws.String("data/left")})
	require.NoError(t, err)
	left, err := o.Client("").ListMultipartUploads(t.Context(),
		&awss3.ListMultipartUploadsInput{Bucket: &o.Bucket, Prefix: aws.String("data/left")})
	require.NoError(t, err)
	require.Len(t, left.Uploads, 1)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestMinIOParts uploads a body whose length is unknown, known, and wrongly hinted.
func TestMinIOParts(t *testing.T) {
	o := harness.NewMinIO(t)
	plain := s3Driver(t, o, gocloud.Parts{Size: 5 << 20}, nil, "&request_checksum_calculation=when_required")
	d := s3Driver(t, o, gocloud.Parts{Size: 5 << 20}, nil)
	const size = 123<<20 + 7
	want, err := harness.Digest(harness.Random(4, size))
	require.NoError(t, err)
	for i, hint := range []int64{0, size, 1, 40 << 30} {
		_, err = []*gocloud.Driver{d, plain}[i%2].Put(t.Context(), "data/large", harness.Random(4, size),
			&driver.PutOptions{Size: hint})
		require.NoError(t, err)
		r, info, err := d.Open(t.Context(), "data/large", nil)
		require.NoError(t, err)
		require.EqualValues(t, size, info.Size)
		got, err := digest.FromReader(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Equal(t, want, got)
	}
}

// TestMinIOHooks checks that storage class and metadata reach the store, for objects of one part
// and of several.
func TestMinIOHooks(t *testing.T) {
	o := harness.NewMinIO(t)
	d := s3Driver(t, o, gocloud.Parts{}, &s3.Options{BeforeWrite: func(as func(any) bool) error {
		var put *awss3.PutObjectInput
		if as(&put) {
			put.StorageClass, put.Metadata = types.StorageClassReducedRedundancy, map[string]string{"by": "registry"}
		}
		var large *awss3.CreateMultipartUploadInput
		if as(&large) {
			large.StorageClass, large.Metadata = types.StorageClassReducedRedundancy, map[string]string{"by": "registry"}
		}
		return nil
	}})
	for key, size := range map[string]int64{"small": 10, "large": 20 << 20} {
		_, err := d.Put(t.Context(), key, harness.Random(5, size), nil)
		require.NoError(t, err)
		head, err := o.Client("").HeadObject(t.Context(), &awss3.HeadObjectInput{Bucket: &o.Bucket, Key: &key})
		require.NoError(t, err)
		require.Equal(t, types.StorageClassReducedRedundancy, head.StorageClass)
		require.Equal(t, map[string]string{"by": "registry"}, head.Metadata)
	}
}

// TestLostBackend puts a proxy in front of MinIO. The proxy itself responds once MinIO is lost.
func TestLostBackend(t *testing.T) { kits.LostBackend(t, harness.NewMinIO(t)) }
