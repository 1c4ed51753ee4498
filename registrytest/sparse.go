package registrytest

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// manifestSparse checks that a push with PutOptions.Sparse accepts missing content, and nothing else
// that is wrong, and that other pushes of the same manifests need the content all the same.
func (s *suite) manifestSparse(t *testing.T) {
	if s.Opaque || s.Remote {
		t.Skip("manifests are not looked into, or not here")
	}
	b, _ := s.new(t)
	second := b
	if s.Reopen != nil {
		second = s.Reopen(t, b)
	}
	img := RandomImage(1, 2, 20_000)
	index := Index(img, RandomImage(10, 1, 10))
	sparse := func(c *Content, tags ...registry.TagPut) error {
		_, err := b.PutManifest(t.Context(), "a/b", c.Descriptor.MediaType, c.Manifest,
			&registry.PutOptions{Sparse: true, Tags: tags})
		return err
	}
	strict := func(c *Content, missing ...digest.Digest) {
		t.Helper()
		for _, b := range []registry.Backend{b, second} {
			if err := put(t.Context(), b, "a/b", c); s.Sparse || len(missing) == 0 {
				require.NoError(t, err)
			} else {
				requireMissing(t, err, c, missing...)
			}
		}
	}
	child, other := img.Descriptor.Digest, index.Children[1].Descriptor.Digest
	require.NoError(t, sparse(index, registry.TagPut{Name: "v1"}))
	requireManifest(t, b, "a/b", index, "v1")
	strict(index, child, other)
	require.NoError(t, sparse(img, registry.TagPut{Name: "v2"}))
	requireManifest(t, b, "a/b", img, "v2")
	strict(index, child, other)

	wrong := *img
	wrong.Descriptor.Size++
	requireError(t, sparse(Index(&wrong)), registry.ErrManifestInvalid)
	requireNoManifest(t, b, "a/b", byDigest(Index(&wrong).Descriptor.Digest))

	push(t, b, "a/b", index.Children[1])
	for i, blob := range img.Blobs {
		var missing []digest.Digest
		for j := i; j < len(img.Blobs); j++ {
			missing = append(missing, img.descriptorOf(j))
		}
		strict(img, missing...)
		strict(index, child)
		s.pushBlob(t, b, "a/b", blob)
	}
	strict(img)
	strict(index)
	require.NoError(t, sparse(index, registry.TagPut{Name: "v1"}))
	strict(index)
}
