package azure

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/internal/parts"
)

// upload is one write of an object. It implements parts.Target.
type upload struct {
	s      *store
	client *blockblob.Client
	opts   *gocloud.PutOptions
	id     string // unique part of the ids of its blocks, which other writes of the object must not share

	modified time.Time
}

func newUpload(s *store, name string, opts *gocloud.PutOptions) *upload {
	return &upload{s: s, client: s.client.NewBlockBlobClient(name), opts: opts, id: rand.Text()}
}

// block returns the id of a block. All ids of an object must have the same length.
func (u *upload) block(number int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%05d", u.id, number))
}

func (u *upload) headers() *blob.HTTPHeaders {
	return &blob.HTTPHeaders{BlobContentType: &u.opts.ContentType}
}

func (u *upload) Single(ctx context.Context, content []byte) (string, error) {
	opts := &blockblob.UploadOptions{HTTPHeaders: u.headers(), AccessConditions: conditions(u.opts.IfAbsent,
		u.opts.IfVersion)}
	if err := parts.Hook(u.s.before, opts); err != nil {
		return "", err
	}
	out, err := u.client.Upload(ctx, streaming.NopCloser(bytes.NewReader(content)), opts)
	if err != nil {
		return "", err
	}
	u.stored(out.LastModified)
	return version(out.ETag), nil
}

func (u *upload) stored(t *time.Time) {
	if t != nil {
		u.modified = *t
	}
}

// Begin does nothing: blocks do not belong to an upload.
func (u *upload) Begin(context.Context) error { return nil }

func (u *upload) Part(ctx context.Context, number int, content []byte) error {
	_, err := u.client.StageBlock(ctx, u.block(number), streaming.NopCloser(bytes.NewReader(content)), nil)
	return err
}

func (u *upload) Complete(ctx context.Context, count int) (string, error) {
	ids := make([]string, count)
	for i := range ids {
		ids[i] = u.block(i)
	}
	opts := &blockblob.CommitBlockListOptions{HTTPHeaders: u.headers(),
		AccessConditions: conditions(u.opts.IfAbsent, u.opts.IfVersion)}
	if err := parts.Hook(u.s.before, opts); err != nil {
		return "", err
	}
	out, err := u.client.CommitBlockList(ctx, ids, opts)
	if err != nil {
		return "", err
	}
	u.stored(out.LastModified)
	return version(out.ETag), nil
}

// Abort does nothing: the service removes blocks that are not part of a blob.
func (u *upload) Abort(context.Context) error { return nil }
