package registrytest

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// knownManifest checks that an existing manifest is rejected like a new one after content that it
// names was deleted, on any replica, until that content exists again. Content of its children does
// not count.
func (s *suite) knownManifest(t *testing.T) {
	if s.Opaque || s.Sparse {
		t.Skip("manifests need not be whole")
	}
	b, _ := s.new(t)
	second := b
	if s.Reopen != nil {
		second = s.Reopen(t, b)
	}
	img, twin := RandomImage(1, 2, 100), RandomImage(10, 1, 20_000)
	index := Index(img, twin)
	push(t, b, "a/b", index, "latest")
	again := func(c *Content, tag string) error {
		var tags []registry.TagPut
		if tag != "" {
			tags = append(tags, registry.TagPut{Name: tag})
		}
		err := put(t.Context(), second, "a/b", c, tags...)
		if other := put(t.Context(), b, "a/b", c, tags...); (err == nil) != (other == nil) {
			require.NoError(t, err)
			require.NoError(t, other)
		}
		return err
	}
	refused := func(c *Content, missing digest.Digest) {
		t.Helper()
		for _, tag := range []string{"", "latest", "new"} {
			requireMissing(t, again(c, tag), c, missing)
		}
		requireNoManifest(t, b, "a/b", byTag("new"))
		requireManifest(t, b, "a/b", index, "latest")
	}
	require.NoError(t, again(index, "latest"))
	for round := range 2 {
		for _, blob := range img.Blobs {
			require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(blob), nil))
			refused(img, digest.FromBytes(blob))
			require.NoError(t, again(twin, "twin"), "it names others")
			s.pushBlob(t, b, "a/b", blob)
			require.NoError(t, again(img, "image"))
			requireManifest(t, second, "a/b", img, "image")
		}
		require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(twin.Descriptor.Digest), nil), "round %d", round)
		refused(index, twin.Descriptor.Digest)
		require.NoError(t, again(img, "image"))
		push(t, second, "a/b", twin)
		require.NoError(t, again(index, "v1"))
		require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), nil))
	}
}
