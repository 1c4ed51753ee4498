package api

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/parallel"
)

// compared is a manifest of the repository as a delete sees it.
type compared struct {
	digest     digest.Digest
	size       int64
	references []manifest.Reference
}

// compare finds out which blobs only the manifests name that would go, and which indexes name them. It reads all
// manifests of the repository, and does nothing if these are too many or name too much.
func (d *deletion) compare() error {
	ctx := d.q.Context()
	var all []compared
	for m, err := range d.q.api.opts.Tags.Manifests(ctx, d.repo) {
		if err != nil {
			return err
		}
		if len(all) == maxCompared {
			return nil
		}
		all = append(all, compared{digest: m.Digest})
	}
	var named atomic.Int64
	err := parallel.Each(atOnce, len(all), func(i int) error {
		if named.Load() > maxNamed {
			return nil
		}
		err := d.references(ctx, &all[i])
		named.Add(int64(len(all[i].references)))
		return err
	})
	if err != nil || named.Load() > maxNamed {
		return err
	}
	goes := map[digest.Digest]*types.ManifestDeletion{}
	for i := range d.p.Manifests {
		goes[digest.Digest(d.p.Manifests[i].Digest)] = &d.p.Manifests[i]
	}
	freed, stays := map[digest.Digest]int64{}, map[digest.Digest]bool{}
	total := int64(0)
	for i := range all {
		c := &all[i]
		if goes[c.digest] != nil {
			total += c.size
		}
		for _, ref := range c.references {
			named := goes[ref.Digest]
			switch {
			case goes[c.digest] == nil && named != nil:
				if err := d.usedBy(named, c.digest); err != nil {
					return err
				}
			case goes[c.digest] == nil:
				stays[ref.Digest] = true
			case ref.Kind != manifest.KindManifest && ref.Kind != manifest.KindAny:
				freed[ref.Digest] = ref.Size
			}
		}
	}
	for blob, size := range freed {
		if !stays[blob] {
			total += size
		}
	}
	d.p.Freed = &total
	return nil
}

// references reads what a manifest names. A manifest that is gone or is being pushed names nothing.
func (d *deletion) references(ctx context.Context, c *compared) error {
	m, err := d.read(ctx, c.digest)
	if errors.Is(err, registry.ErrManifestUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, err := manifest.ParseStored(m.Descriptor.MediaType, m.Content)
	if err == nil {
		c.size, c.references = int64(len(m.Content)), doc.References
	}
	return err
}

// usedBy adds an index that names a manifest. What an immutable tag reaches by way of it stays.
func (d *deletion) usedBy(m *types.ManifestDeletion, index digest.Digest) error {
	if len(m.UsedBy) == shownUsers {
		return nil
	}
	m.UsedBy = append(m.UsedBy, index.String())
	if m.Refused != "" {
		return nil
	}
	_, _, immutable, err := d.tagsOf(index, "")
	if immutable {
		m.Refused = types.RefusedImmutable
	}
	return err
}
