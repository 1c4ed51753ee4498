package object

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/storage/driver"
)

// maxChildren is the maximum size of the cache of ListedChildren, in bytes: about 50,000 manifests.
const maxChildren = 16 << 20

// children are the manifests that a version of a manifest names.
type children struct {
	version string
	names   []digest.Digest
}

// ListedChildren returns the digests of the manifests that a manifest names, for one that a list has
// just returned as info. What may be a blob as well is among them. A manifest that is absent names
// nothing; one that is pending or marked names its children like one that is visible. ListedChildren
// does not read a manifest again that is in the cache with the same version. The caller must not
// change the result.
//
// Errors: an error if the manifest cannot be parsed, although it could be when it was pushed.
func (r Repo) ListedChildren(ctx context.Context, d digest.Digest, info driver.Info) ([]digest.Digest, error) {
	if c, ok := r.children.Get(info.Key); ok && info.Version != "" && c.version == info.Version {
		return c.names, nil
	}
	m, err := r.ReadManifest(ctx, d)
	if err != nil {
		return nil, err
	}
	c := children{version: m.Version}
	if !m.Absent() {
		refs, err := References(m)
		if err != nil {
			return nil, err
		}
		for _, ref := range refs {
			if ref.Kind == manifest.KindManifest || ref.Kind == manifest.KindAny {
				c.names = append(c.names, ref.Digest)
			}
		}
		c.names = slices.Clip(c.names)
	}
	if c.version != "" {
		const overhead, perName = 220, 90 // memory of an entry and of its place in the cache, in bytes
		r.children.Add(info.Key, c, overhead+len(info.Key)+len(c.version)+perName*len(c.names))
	}
	return c.names, nil
}
