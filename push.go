package registry

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// cleanupTimeout is how long is waited for what cleans up after a failure, also if that was the end
// of the context.
const cleanupTimeout = 10 * time.Second

// PushBlob pushes what r holds up to its end as a blob of the repository, in one pass and without
// holding it in memory. d is the digest it must have; "" means whatever it has, by sha256. It
// returns the descriptor of the blob, of the media type application/octet-stream.
//
// Errors: ErrDigestInvalid if the content has another digest; the error of r, wrapped; those of
// [Writer].CreateUpload and [Upload].
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
	_ = u.Cancel(ctx) // nobody else knows of it; if this fails, it expires
	return ocispec.Descriptor{}, err
}
