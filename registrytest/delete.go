package registrytest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// deleteTag checks that a delete by tag deletes only the tag.
func (s *suite) deleteTag(t *testing.T) {
	b, _ := s.new(t)
	img := RandomImage(1, 1, 100)
	push(t, b, "a/b", img, "v1", "v2")
	push(t, b, "c/d", img, "v1")
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), nil))
	requireNoManifest(t, b, "a/b", byTag("v1"))
	requireManifest(t, b, "a/b", img, "v2")
	requireTags(t, b, "a/b", "v2")
	requireManifest(t, b, "c/d", img, "v1")
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v2"), nil))
	requireManifest(t, b, "a/b", img)
	requireTags(t, b, "a/b")
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v2"), nil), registry.ErrManifestUnknown)
	push(t, b, "a/b", img, "v1")
	requireManifest(t, b, "a/b", img, "v1")
	requireTags(t, b, "a/b", "v1")
}

// deleteManifest checks that the tags of a manifest are deleted with it, except those that have
// moved.
func (s *suite) deleteManifest(t *testing.T) {
	b, _ := s.new(t)
	img, other := RandomImage(1, 1, 100), RandomImage(2, 1, 100)
	push(t, b, "a/b", img, "v1", "v2", "moved")
	push(t, b, "a/b", other, "moved", "other")
	push(t, b, "c/d", img, "v1")
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(img.Descriptor.Digest), nil))
	requireNoManifest(t, b, "a/b", byDigest(img.Descriptor.Digest), byTag("v1"), byTag("v2"))
	requireManifest(t, b, "a/b", other, "moved", "other")
	requireTags(t, b, "a/b", "moved", "other")
	requireManifest(t, b, "c/d", img, "v1")
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(img.Descriptor.Digest), nil),
		registry.ErrManifestUnknown)
	requireBlob(t, b, "a/b", img.Blobs[1])
	push(t, b, "a/b", img, "v1")
	requireManifest(t, b, "a/b", img, "v1")
	requireTags(t, b, "a/b", "moved", "other", "v1")
}

// deleteReferrer checks that a deleted referrer leaves the list of its subject.
func (s *suite) deleteReferrer(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	img := RandomImage(1, 1, 10)
	one, two := Artifact("application/x.one", img.Descriptor, nil), Artifact("application/x.two", img.Descriptor, nil)
	push(t, b, "a/b", img)
	push(t, b, "a/b", one, "one")
	push(t, b, "a/b", two)
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("one"), nil))
	descs, err := collect(b.Referrers(t.Context(), "a/b", img.Descriptor.Digest, nil), -1)
	require.NoError(t, err)
	require.Len(t, descs, 2, "the referrer stays without its tag")
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(one.Descriptor.Digest), nil))
	requireReferrers(t, b, "a/b", img.Descriptor.Digest, two.Descriptor.Digest)
	push(t, b, "a/b", one)
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(two.Descriptor.Digest), nil))
	requireReferrers(t, b, "a/b", img.Descriptor.Digest, one.Descriptor.Digest)
}

func (s *suite) deleteBlob(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int{0, 100, 100_000} {
		content := RandomBytes(uint64(size), size)
		d := s.pushBlob(t, b, "a/b", content).Digest
		s.pushBlob(t, b, "c/d", content)
		require.NoError(t, b.DeleteBlob(t.Context(), "a/b", d, nil))
		requireNoBlob(t, b, "a/b", d)
		requireBlob(t, b, "c/d", content)
		requireError(t, b.DeleteBlob(t.Context(), "a/b", d, nil), registry.ErrBlobUnknown)
		s.pushBlob(t, b, "a/b", content)
		requireBlob(t, b, "a/b", content)
		require.NoError(t, b.DeleteBlob(t.Context(), "c/d", d, nil))
		requireBlob(t, b, "a/b", content)
	}
}

// deleteUnknown checks that deleting missing content fails, and that similar names stay.
func (s *suite) deleteUnknown(t *testing.T) {
	b, _ := s.new(t)
	img := RandomImage(1, 1, 100)
	push(t, b, "a/b", img, "v1")
	for _, repo := range []string{"a/b", "a", "a/b/c", "nowhere"} {
		requireError(t, b.DeleteManifest(t.Context(), repo, byTag("v2"), nil), registry.ErrManifestUnknown)
		requireError(t, b.DeleteManifest(t.Context(), repo, byDigest(zeros), nil), registry.ErrManifestUnknown)
		requireError(t, b.DeleteBlob(t.Context(), repo, zeros, nil), registry.ErrBlobUnknown)
	}
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(img.descriptorOf(0)), nil),
		registry.ErrManifestUnknown, "a blob is no manifest")
	requireError(t, b.DeleteBlob(t.Context(), "a/b", img.Descriptor.Digest, nil), registry.ErrBlobUnknown,
		"a manifest is no blob")
	requireManifest(t, b, "a/b", img, "v1")
	requireBlob(t, b, "a/b", img.Blobs[1])
}

// deleteMounted checks that a mounted blob does not depend on its source.
func (s *suite) deleteMounted(t *testing.T) {
	if s.NoMount {
		t.Skip("the backend does not mount")
	}
	b, _ := s.new(t)
	for _, size := range []int{100, 100_000} {
		content := RandomBytes(uint64(size), size)
		d := s.pushBlob(t, b, "from", content).Digest
		_, err := b.MountBlob(t.Context(), "to", d, &registry.MountOptions{From: "from"})
		require.NoError(t, err)
		require.NoError(t, b.DeleteBlob(t.Context(), "from", d, nil))
		requireBlob(t, b, "to", content)
		requireNothingToMount(t, b, "third", content, &registry.MountOptions{From: "from"})
		_, err = b.MountBlob(t.Context(), "from", d, &registry.MountOptions{From: "to"})
		require.NoError(t, err)
		requireBlob(t, b, "from", content)
	}
}

// requireWhole requires that the repository is complete: each tag points to a manifest, the content
// of each manifest exists, and so does each referrer in a list.
func (s *suite) requireWhole(t *testing.T, b registry.Backend, repo string, all ...*Content) {
	t.Helper()
	ctx := t.Context()
	tags, err := collect(b.Tags(ctx, repo, nil), -1)
	if !errors.Is(err, registry.ErrNameUnknown) {
		require.NoError(t, err)
	}
	for _, tag := range tags {
		_, err := b.GetManifest(ctx, repo, byTag(tag))
		require.NoError(t, err, "tag %s", tag)
	}
	for _, c := range all {
		refs, err := collect(b.Referrers(ctx, repo, c.Descriptor.Digest, nil), -1)
		require.NoError(t, err)
		for _, r := range refs {
			_, err := b.GetManifest(ctx, repo, byDigest(r.Digest))
			require.NoError(t, err, "referrer %s", r.Digest)
		}
		err = checkManifest(ctx, b, repo, byDigest(c.Descriptor.Digest), c)
		if errors.Is(err, registry.ErrManifestUnknown) {
			continue
		}
		require.NoError(t, err)
		if s.Sparse {
			continue
		}
		for i := range c.Blobs {
			requireBlob(t, b, repo, c.Blobs[i])
		}
		for _, child := range c.Children {
			requireManifest(t, b, repo, child)
		}
	}
}

// deleteBesidePush checks that concurrent pushes and deletes of the same content leave the
// repository complete.
func (s *suite) deleteBesidePush(t *testing.T) {
	s.beside(t, func(b registry.Backend, repo string, c *Content, i int) error {
		if i%2 == 0 {
			return b.DeleteManifest(t.Context(), repo, byTag("latest"), nil)
		}
		return b.DeleteManifest(t.Context(), repo, byDigest(c.Descriptor.Digest), nil)
	})
}

// deleteKeepsLaterTags checks that a delete does not remove what a later push writes. All pushes
// set the same tag, so the manifest must exist if and only if the tag does.
func (s *suite) deleteKeepsLaterTags(t *testing.T) {
	b, _ := s.new(t)
	img := RandomImage(1, 1, 100)
	push(t, b, "a/b", img)
	d := byDigest(img.Descriptor.Digest)
	for round := range 50 {
		tag := registry.TagPut{Name: "latest", IfAbsent: !s.NoIfAbsent && round%2 == 1}
		requireAll(t, race(4, func(i int) error {
			if i%2 == 0 {
				return put(t.Context(), b, "a/b", img, tag)
			}
			return besideDelete(b.DeleteManifest(t.Context(), "a/b", d, nil))
		}))
		_, errTag := b.GetManifest(t.Context(), "a/b", byTag("latest"))
		_, errDigest := b.GetManifest(t.Context(), "a/b", d)
		require.Equal(t, errDigest == nil, errTag == nil, "round %d: by tag %v, by digest %v", round, errTag, errDigest)
		tags, err := collect(b.Tags(t.Context(), "a/b", nil), -1)
		require.NoError(t, err)
		require.Equal(t, errTag == nil, len(tags) == 1, "round %d: %v, but the list is %v", round, errTag, tags)
	}
}

func (s *suite) deleteRepositoryBesidePush(t *testing.T) {
	s.beside(t, func(b registry.Backend, repo string, _ *Content, _ int) error {
		return b.DeleteRepository(t.Context(), repo, nil)
	})
}

// beside pushes an image, an artifact that refers to it, and tags of both, while remove deletes
// them. Afterwards only deleted content, and content whose push was rejected, may be missing. A
// final push must succeed.
func (s *suite) beside(t *testing.T, remove func(b registry.Backend, repo string, c *Content, i int) error) {
	b, _ := s.new(t)
	// All rounds use the same names, so that they write and delete the same keys.
	const repo = "a/b"
	img := RandomImage(1, 2, 500)
	art := Artifact("application/x.test", img.Descriptor, nil)
	for round := range 15 {
		errs := race(6, func(i int) error {
			switch i {
			case 0, 1:
				return besidePush(img.Push(t.Context(), b, repo, "latest", fmt.Sprint("v", i)))
			case 2:
				return besidePush(art.Push(t.Context(), b, repo, "art"))
			case 3, 4:
				return besideDelete(remove(b, repo, img, i))
			default:
				return besideDelete(remove(b, repo, art, i))
			}
		})
		require.NoError(t, errors.Join(errs...), "round %d", round)
		s.requireWhole(t, b, repo, img, art)
	}
	push(t, b, repo, img, "latest")
	push(t, b, repo, art, "art")
	requireManifest(t, b, repo, img, "latest")
	requireManifest(t, b, repo, art, "art")
	s.requireWhole(t, b, repo, img, art)
	require.Contains(t, must(collect(b.Repositories(t.Context(), nil), -1)), repo)
}

// besidePush returns nil if err is a valid result of a push beside a delete, which may delete a
// blob before the manifest is pushed.
func besidePush(err error) error {
	if errors.Is(err, registry.ErrManifestBlobUnknown) || errors.Is(err, registry.ErrUnavailable) {
		return nil
	}
	return err
}

// besideDelete returns nil if err is a valid result of a delete beside others.
func besideDelete(err error) error {
	for _, kind := range []*registry.Error{registry.ErrManifestUnknown, registry.ErrNameUnknown, registry.ErrUnavailable} {
		if errors.Is(err, kind) {
			return nil
		}
	}
	return err
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// deleteRepository checks that the whole repository is deleted, and nothing of repositories with
// similar names.
func (s *suite) deleteRepository(t *testing.T) {
	b, _ := s.new(t)
	img := RandomImage(1, 2, 20_000)
	art := Artifact("application/x.test", img.Descriptor, nil)
	names := []string{"a", "a-b", "a/b", "a/b-c", "a/b/c", "a/bb"}
	for _, repo := range names {
		push(t, b, repo, img, "v1", "v2")
		push(t, b, repo, art, "art")
	}
	requireRepositories(t, b, names...)
	for range 2 {
		require.NoError(t, b.DeleteRepository(t.Context(), "a/b", nil))
		requireNoManifest(t, b, "a/b", byTag("v1"), byTag("art"), byDigest(img.Descriptor.Digest),
			byDigest(art.Descriptor.Digest))
		for _, d := range []digest.Digest{img.descriptorOf(0), img.descriptorOf(1)} {
			requireNoBlob(t, b, "a/b", d)
		}
		requireReferrers(t, b, "a/b", img.Descriptor.Digest)
		_, err := collect(b.Tags(t.Context(), "a/b", nil), -1)
		requireError(t, err, registry.ErrNameUnknown)
		requireRepositories(t, b, "a", "a-b", "a/b-c", "a/b/c", "a/bb")
		for _, repo := range names {
			if repo != "a/b" {
				requireTags(t, b, repo, "art", "v1", "v2")
				s.requireWhole(t, b, repo, img, art)
			}
		}
		requireError(t, b.DeleteRepository(t.Context(), "a/b", nil), registry.ErrNameUnknown)
		push(t, b, "a/b", img, "v3")
		requireManifest(t, b, "a/b", img, "v3")
		requireTags(t, b, "a/b", "v3")
		requireReferrers(t, b, "a/b", img.Descriptor.Digest)
	}
	requireError(t, b.DeleteRepository(t.Context(), "nowhere", nil), registry.ErrNameUnknown)
}

func (s *suite) deleteRepositoryRefused(t *testing.T) {
	b, _ := s.new(t)
	push(t, b, "a/b", tiny(1), "v1")
	requireRefused(t, b.DeleteRepository(t.Context(), "a/b", nil))
	requireManifest(t, b, "a/b", tiny(1), "v1")
}

func (s *suite) deletesRefused(t *testing.T) {
	b, w := s.new(t)
	s.requireDeletesRefused(t, b, w)
}

func (s *suite) requireDeletesRefused(t *testing.T, b, w registry.Backend) {
	t.Helper()
	img := RandomImage(1, 1, 100)
	push(t, w, "a/b", img, "v1")
	for _, ref := range []reference.Ref{byTag("v1"), byDigest(img.Descriptor.Digest), byTag("none"), byDigest(zeros)} {
		requireRefused(t, b.DeleteManifest(t.Context(), "a/b", ref, nil))
	}
	requireRefused(t, b.DeleteBlob(t.Context(), "a/b", img.descriptorOf(1), nil))
	requireRefused(t, b.DeleteBlob(t.Context(), "a/b", zeros, nil))
	requireRefused(t, b.DeleteRepository(t.Context(), "a/b", nil))
	requireManifest(t, b, "a/b", img, "v1")
	requireBlob(t, b, "a/b", img.Blobs[1])
}

// writesRefused checks that a read-only backend rejects every write at once.
func (s *suite) writesRefused(t *testing.T) {
	b, w := s.new(t)
	s.requireDeletesRefused(t, b, w)
	ctx := t.Context()
	_, err := b.CreateUpload(ctx, "a/b", &registry.UploadOptions{Owner: s.Owner})
	requireRefused(t, err)
	u := s.create(t, w, "a/b")
	_, err = b.ResumeUpload(ctx, "a/b", u.ID(), &registry.ResumeOptions{Owner: s.Owner})
	requireRefused(t, err)
	_, err = b.MountBlob(ctx, "to", RandomImage(1, 1, 100).descriptorOf(0), &registry.MountOptions{From: "a/b"})
	requireRefused(t, err)
	requireRefused(t, put(ctx, b, "a/b", tiny(1), registry.TagPut{Name: "v2"}))
	requireNoManifest(t, b, "a/b", byTag("v2"), byDigest(tiny(1).Descriptor.Digest))
	requireTags(t, b, "a/b", "v1")
	requireRepositories(t, b, "a/b")
}
