package registrytest

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// moves returns the moves of tags from the manifest of a content.
func moves(from *Content, tags ...string) []registry.TagMove {
	var all []registry.TagMove
	for _, tag := range tags {
		all = append(all, registry.TagMove{Tag: tag, Previous: from.Descriptor})
	}
	return all
}

// putReports checks that a push reports the artifact type, and from where it has moved tags.
func (s *suite) putReports(t *testing.T) {
	b, _ := s.new(t)
	one, two := tiny(1), tiny(2)
	set := func(c *Content, tags ...string) registry.PutResult {
		t.Helper()
		opts := &registry.PutOptions{}
		for _, tag := range tags {
			opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
		}
		res, err := b.PutManifest(t.Context(), "a/b", c.Descriptor.MediaType, c.Manifest, opts)
		require.NoError(t, err)
		require.Equal(t, c.Descriptor, res.Descriptor)
		if s.NoReports {
			require.Empty(t, res.Moved)
		}
		return res
	}
	push(t, b, "a/b", one)
	push(t, b, "a/b", two)
	require.Empty(t, set(one, "v1", "v2").Moved, "the tags are new")
	require.Empty(t, set(one, "v1").Moved, "the tag points there already")
	require.Empty(t, set(two).Moved)
	if !s.NoReports {
		require.Equal(t, moves(one, "v2", "v1"), set(two, "v2", "new", "v1").Moved)
		require.Equal(t, moves(two, "v1"), set(one, "v2", "v1", "v1").Moved[1:])
		require.Empty(t, set(one, "v1", "v2").Moved)
	}
	if s.Opaque {
		return
	}
	img := RandomImage(3, 1, 10)
	push(t, b, "a/b", img)
	push(t, b, "a/b", Artifact("application/x.one", img.Descriptor, nil))
	require.Equal(t, ocispec.MediaTypeImageConfig, set(img, "image").ArtifactType)
	require.Equal(t, "application/x.one", set(Artifact("application/x.one", img.Descriptor, nil)).ArtifactType)
	push(t, b, "a/b", Index(img))
	require.Empty(t, set(Index(img)).ArtifactType)
}

// deleted is what a delete has reported.
type deleted struct {
	calls  int
	target ocispec.Descriptor
	tags   []string
}

// requireReported requires that a delete succeeds and reports once what it has deleted. A backend
// without reports may leave the report out, or report only the digest.
func (s *suite) requireReported(t *testing.T, del func(*registry.DeleteOptions) error, want ocispec.Descriptor,
	tags ...string) {
	t.Helper()
	var got deleted
	require.NoError(t, del(&registry.DeleteOptions{Deleted: func(target ocispec.Descriptor, tags []string) {
		got.calls, got.target, got.tags = got.calls+1, target, tags
	}}))
	if s.NoReports && got.calls == 0 {
		return
	}
	require.Equal(t, 1, got.calls)
	require.Equal(t, want.Digest, got.target.Digest)
	if s.NoReports {
		return
	}
	got.target.ArtifactType = "" // it may be known
	require.Equal(t, want, got.target)
	require.ElementsMatch(t, tags, got.tags)
}

// deleteReports checks that a delete reports what it has deleted, and that one that fails reports
// nothing.
func (s *suite) deleteReports(t *testing.T) {
	b, _ := s.new(t)
	img, other := RandomImage(1, 1, 100), RandomImage(2, 1, 100)
	push(t, b, "a/b", img, "v1", "v2", "v3", "moved")
	push(t, b, "a/b", other, "moved")
	manifest := func(ref reference.Ref) func(*registry.DeleteOptions) error {
		return func(o *registry.DeleteOptions) error { return b.DeleteManifest(t.Context(), "a/b", ref, o) }
	}
	s.requireReported(t, manifest(byTag("v3")), img.Descriptor, "v3")
	s.requireReported(t, manifest(byDigest(img.Descriptor.Digest)), img.Descriptor, "v1", "v2")
	s.requireReported(t, manifest(byTag("moved")), other.Descriptor, "moved")
	s.requireReported(t, manifest(byDigest(other.Descriptor.Digest)), other.Descriptor)
	blob := descriptor("application/octet-stream", img.Blobs[1])
	s.requireReported(t, func(o *registry.DeleteOptions) error {
		return b.DeleteBlob(t.Context(), "a/b", blob.Digest, o)
	}, blob)

	never := &registry.DeleteOptions{Deleted: func(ocispec.Descriptor, []string) { t.Error("nothing is deleted") }}
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), never), registry.ErrManifestUnknown)
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(img.Descriptor.Digest), never),
		registry.ErrManifestUnknown)
	requireError(t, b.DeleteBlob(t.Context(), "a/b", blob.Digest, never), registry.ErrBlobUnknown)
	if !s.NoDeleteRepository {
		push(t, b, "a/b", img, "v1")
		require.NoError(t, b.DeleteRepository(t.Context(), "a/b", never), "a repository has no descriptor")
	}
}

// restoreReports checks that a restore reports each manifest once, with its tags and where they
// pointed before.
func (s *suite) restoreReports(t *testing.T) {
	b, _ := s.new(t)
	child, other := RandomImage(1, 1, 100), tiny(2)
	index := Index(child)
	push(t, b, "a/b", child, "child")
	push(t, b, "a/b", index, "v1", "v2")
	push(t, b, "a/b", other, "v1")
	result := func(c *Content, moved []registry.TagMove, tags ...string) registry.PutResult {
		return registry.PutResult{Descriptor: c.Descriptor, Tags: tags, Moved: moved}
	}
	check := func(ref reference.Ref, want ...registry.PutResult) {
		t.Helper()
		res, err := b.Restore(t.Context(), "a/b", ref, nil)
		require.NoError(t, err)
		require.Empty(t, res.Lost)
		for i := range res.Manifests {
			res.Manifests[i].ArtifactType, res.Manifests[i].Subject = "", nil
		}
		if s.NoReports {
			for i := range want {
				want[i].Moved = nil
			}
		}
		require.ElementsMatch(t, want, res.Manifests)
		require.Equal(t, want[0], res.Manifests[0], "the first is the requested one")
	}
	check(byTag("v1"), result(index, moves(other, "v1"), "v1"))
	for _, c := range []*Content{index, child} {
		require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(c.Descriptor.Digest), nil))
	}
	push(t, b, "a/b", other, "v1")
	check(byDigest(index.Descriptor.Digest), result(index, nil, "v2"), result(child, nil))
}
