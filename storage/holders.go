package storage

import (
	"context"
	"iter"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// Holders yields repositories below prefix that may have a blob, in ascending byte order. A prefix is one
// or more components of names; the repository with that name itself is not yielded. "" means all
// repositories. The list comes from an index that pushes and mounts write: a repository in it may have
// lost the blob since. It makes one request for each thousand repositories; hint is how many the caller
// expects to take, or 0.
//
// Errors: registry.ErrDigestInvalid.
func (v Inventory) Holders(ctx context.Context, d digest.Digest, prefix string, hint int) iter.Seq2[string, error] {
	if err := registry.CheckDigest(d); err != nil {
		return func(yield func(string, error) bool) { yield("", err) }
	}
	if prefix != "" {
		prefix += "/"
	}
	return v.store.indexed(ctx, d, prefix, hint)
}
