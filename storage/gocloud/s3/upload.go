package s3

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/internal/parts"
)

// conflicts is the maximum number of retries of a write that the store did not decide because of
// another write at the same time.
const conflicts = 5

// upload is one write of an object. It implements parts.Target.
type upload struct {
	s    *store
	name string
	opts *gocloud.PutOptions

	id *string // of the multipart upload

	mu    sync.Mutex
	parts []types.CompletedPart
}

func (u *upload) Single(ctx context.Context, content []byte) (string, error) {
	in := &awss3.PutObjectInput{Bucket: &u.s.bucket, Key: &u.name, ContentType: &u.opts.ContentType}
	in.IfMatch, in.IfNoneMatch = conditions(u.opts)
	if err := parts.Hook(u.s.before, in); err != nil {
		return "", err
	}
	for n := 0; ; n++ {
		in.Body = bytes.NewReader(content)
		out, err := u.s.client.PutObject(ctx, in)
		if err == nil {
			return aws.ToString(out.ETag), nil
		}
		if !isConflict(err) || n == conflicts {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(rand.N(10 * time.Millisecond << n)):
		}
	}
}

func (u *upload) Begin(ctx context.Context) error {
	in := &awss3.CreateMultipartUploadInput{
		Bucket: &u.s.bucket, Key: &u.name, ContentType: &u.opts.ContentType, ChecksumAlgorithm: u.checksum(),
	}
	if err := parts.Hook(u.s.before, in); err != nil {
		return err
	}
	out, err := u.s.client.CreateMultipartUpload(ctx, in)
	if err == nil {
		u.id = out.UploadId
	}
	return err
}

// checksum returns the algorithm of the checksums that the client sends with each part. It must be
// announced before the first part. It is empty if the client is configured to send checksums only
// when required.
func (u *upload) checksum() types.ChecksumAlgorithm {
	if u.s.client.Options().RequestChecksumCalculation == aws.RequestChecksumCalculationWhenRequired {
		return ""
	}
	return types.ChecksumAlgorithmCrc32
}

func (u *upload) Part(ctx context.Context, number int, content []byte) error {
	n := aws.Int32(int32(number) + 1) //nolint:gosec // at most 10,000
	out, err := u.s.client.UploadPart(ctx, &awss3.UploadPartInput{
		Bucket: &u.s.bucket, Key: &u.name, UploadId: u.id, PartNumber: n, Body: bytes.NewReader(content),
		ChecksumAlgorithm: u.checksum(),
	})
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts = append(u.parts, types.CompletedPart{PartNumber: n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
	return nil
}

func (u *upload) Complete(ctx context.Context, _ int) (string, error) {
	slices.SortFunc(u.parts, func(a, b types.CompletedPart) int { return int(*a.PartNumber - *b.PartNumber) })
	in := &awss3.CompleteMultipartUploadInput{
		Bucket: &u.s.bucket, Key: &u.name, UploadId: u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	}
	in.IfMatch, in.IfNoneMatch = conditions(u.opts)
	out, err := u.s.client.CompleteMultipartUpload(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

func (u *upload) Abort(ctx context.Context) error {
	_, err := u.s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &u.s.bucket, Key: &u.name,
		UploadId: u.id})
	var gone *types.NoSuchUpload
	if errors.As(err, &gone) {
		return nil
	}
	return err
}
