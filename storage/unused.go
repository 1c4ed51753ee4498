package storage

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/internal/object"
)

// A delete with registry.DeleteOptions.IfUnused removes a blob only if no manifest names it. It
// works like a collector of links: it condemns the link, then looks at all manifests, also those of
// pushes in progress, and then removes the link in the version of its mark. A push writes its
// manifest as Pending, then looks at the links, and removes marks. So either the delete sees the
// manifest, or the push sees the mark or that the blob is missing. The model is
// internal/model/collect.pml.

// errIfUnused is returned by deletes that do not support DeleteOptions.IfUnused.
var errIfUnused = registry.ErrUnsupported.WithMessage("only a blob or a manifest can be deleted if it is unused")

// refuseUsed returns an error if a manifest of the repository names a blob.
//
// Errors: registry.ErrDenied.
func (r repo) refuseUsed(ctx context.Context, d digest.Digest) error {
	for batch, err := range object.BatchesInMemory(r.Driver.List(ctx, r.ManifestPrefix(), nil)) {
		if err != nil {
			return err
		}
		err := parallel.Each(object.Parallelism, len(batch), func(i int) error {
			if by := objectkey.PathDigest(batch[i].Key); by != "" {
				return r.refuseUsedBy(ctx, d, by)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// refuseUsedBy returns an error if a manifest names a blob. A manifest whose push was refused is
// not there.
//
// Errors: registry.ErrDenied.
func (r repo) refuseUsedBy(ctx context.Context, d, by digest.Digest) error {
	m, err := r.ReadManifest(ctx, by)
	if err != nil || m.Absent() {
		return err
	}
	refs, err := object.References(m)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if ref.Digest == d {
			return registry.ErrDenied.WithMessage("the manifest " + string(by) + " names the blob").
				WithDetail(map[string]string{"manifest": string(by)})
		}
	}
	return nil
}
