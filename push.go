package registry

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// cleanupTimeout limits the cleanup after a failure. The cleanup runs even if ctx has ended.
const cleanupTimeout = 10 * time.Second

// PushBlob pushes everything that r yields as a blob of the repository. It reads r once and does
// not hold the content in memory. d is the expected digest; "" accepts any content and computes its
// sha256 digest. The result is the descriptor of the blob, with the media type
// application/octet-stream.
//
// Errors: ErrDigestInvalid if d is malformed or not the digest of the content; the error of r,
// wrapped; those of [Writer].CreateUpload and [Upload].
func PushBlob(ctx context.Context, w Writer, repo string, d digest.Digest, r io.Reader) (ocispec.Descriptor, error) {
	algorithm := digest.SHA256
	if d != "" {
		if err := (&Op{Kind: OpCommit, Repository: repo, Ref: reference.Ref{Digest: d}}).check(); err != nil {
			return ocispec.Descriptor{}, err
		}
		algorithm = d.Algorithm()
	}
	u, err := w.CreateUpload(ctx, repo, &UploadOptions{Algorithm: algorithm})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var hash digest.Digester
	if d == "" {
		hash = algorithm.Digester()
		r = io.TeeReader(r, hash.Hash())
	}
	if _, err = u.Append(ctx, 0, -1, r); err == nil {
		if hash != nil {
			d = hash.Digest()
		}
		var desc ocispec.Descriptor
		if desc, err = u.Commit(ctx, d, nil); err == nil {
			return desc, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	_ = u.Cancel(ctx) // if this fails, the upload expires
	return ocispec.Descriptor{}, err
}
