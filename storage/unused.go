package storage

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/parallel"
)

// Blobs that are deleted only if no manifest names them (registry.DeleteOptions.IfUnused). The
// delete does as a collector of links does: it condemns the link, then looks at all manifests,
// those on their way included, and then removes the link in the version of its mark. A push writes
// its manifest as pending, then looks at the links, and takes marks off. So either the delete sees
// the manifest, or the push sees the mark or that the blob is missing. The model is
// internal/model/collect.pml.

// errIfUnused is the refusal of a delete that knows no DeleteOptions.IfUnused.
var errIfUnused = registry.ErrUnsupported.WithMessage("only a blob can be deleted if it is unused")

// refuseUsed returns an error if a manifest of the repository names a blob.
//
// Errors: registry.ErrDenied.
func (s *Store) refuseUsed(ctx context.Context, repo string, d digest.Digest) error {
	var batch []digest.Digest
	size := int64(0)
	flush := func() error {
		err := parallel.Each(parallelism, len(batch), func(i int) error { return s.refuseUsedBy(ctx, repo, d, batch[i]) })
		batch, size = batch[:0], 0
		return err
	}
	for info, err := range s.driver.List(ctx, manifestPrefix(repo), nil) {
		if err != nil {
			return wire(err)
		}
		m := pathDigest(info.Key)
		if m == "" {
			continue
		}
		batch = append(batch, m)
		if size += info.Size; len(batch) == readAtOnce || size >= someBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// refuseUsedBy returns an error if a manifest names a blob. A manifest whose push was refused is
// not there.
//
// Errors: registry.ErrDenied.
func (s *Store) refuseUsedBy(ctx context.Context, repo string, d, by digest.Digest) error {
	m, err := s.readManifest(ctx, repo, by)
	if err != nil || m.absent() {
		return err
	}
	refs, err := references(m)
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
