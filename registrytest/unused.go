package registrytest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// ifUnused deletes a blob or manifest only if nothing leads to it.
var ifUnused = &registry.DeleteOptions{IfUnused: true}

// deleteBlobIfUnused checks that a blob stays while a manifest names it, with or without a tag, and
// that it can be deleted after the last of these manifests.
func (s *suite) deleteBlobIfUnused(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	one := RandomImage(1, 2, 20_000)
	config := one.Blobs[0]
	two := custom(fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":"%s","size":%d},"layers":[]}`,
		digest.FromBytes(config), len(config)))
	push(t, b, "a/b", one, "v1")
	require.NoError(t, put(t.Context(), b, "a/b", two))
	push(t, b, "c/d", one)
	for _, blob := range one.Blobs {
		requireError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(blob), ifUnused), registry.ErrDenied)
		requireBlob(t, b, "a/b", blob)
	}
	requireError(t, b.DeleteBlob(t.Context(), "a/b", zeros, ifUnused), registry.ErrBlobUnknown)
	requireError(t, b.DeleteRepository(t.Context(), "a/b", ifUnused), registry.ErrUnsupported)
	free := RandomBytes(5, 100)
	s.pushBlob(t, b, "a/b", free)
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(free), ifUnused))
	requireNoBlob(t, b, "a/b", digest.FromBytes(free))

	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(one.Descriptor.Digest), nil))
	requireError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(config), ifUnused), registry.ErrDenied,
		"the other still names it")
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(one.Blobs[1]), ifUnused))
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(two.Descriptor.Digest), nil))
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(config), ifUnused))
	for _, blob := range one.Blobs {
		requireBlob(t, b, "c/d", blob)
	}
	push(t, b, "a/b", one, "v1")
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(config), nil), "without the condition it goes")
	requireNoBlob(t, b, "a/b", digest.FromBytes(config))
}

// deleteBlobIfUnusedRace checks that of a push that names a blob and a concurrent delete of unused
// blobs only one succeeds.
func (s *suite) deleteBlobIfUnusedRace(t *testing.T) {
	if s.Opaque || s.Sparse {
		t.Skip("manifests need not be whole")
	}
	b, _ := s.new(t)
	second := b
	if s.Reopen != nil {
		second = s.Reopen(t, b)
	}
	for round := range 30 {
		img := RandomImage(uint64(10*round), 1, 100)
		for _, blob := range img.Blobs {
			s.pushBlob(t, b, "a/b", blob)
		}
		errs := race(2, func(i int) error {
			if i == 0 {
				return put(t.Context(), b, "a/b", img)
			}
			return second.DeleteBlob(t.Context(), "a/b", digest.FromBytes(img.Blobs[1]), ifUnused)
		})
		pushed, deleted := errs[0], errs[1]
		if pushed != nil {
			require.True(t, errors.Is(pushed, registry.ErrManifestBlobUnknown) || errors.Is(pushed, registry.ErrUnavailable),
				"round %d: %v", round, pushed)
			continue
		}
		require.True(t, errors.Is(deleted, registry.ErrDenied) || errors.Is(deleted, registry.ErrUnavailable),
			"round %d: %v", round, deleted)
		requireBlob(t, second, "a/b", img.Blobs[1])
	}
}
