package registrytest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// historyRefused checks that a backend without a history rejects History and Restore.
func (s *suite) historyRefused(t *testing.T) {
	b, _ := s.new(t)
	push(t, b, "a/b", RandomImage(1, 1, 100), "latest")
	_, err := collect(b.History(t.Context(), "a/b", nil), -1)
	requireRefused(t, err)
	_, err = b.Restore(t.Context(), "a/b", byTag("latest"), nil)
	requireRefused(t, err)
	requireManifest(t, b, "a/b", RandomImage(1, 1, 100), "latest")
}

// entries returns the history as text, without the parts that vary from run to run.
func entries(t *testing.T, b registry.Backend, repo string, opts *registry.HistoryOptions) []string {
	t.Helper()
	list, err := collect(b.History(t.Context(), repo, opts), -1)
	require.NoError(t, err)
	words := []string{}
	for i, e := range list {
		require.NotEmpty(t, e.ID)
		require.False(t, e.Time.IsZero())
		require.False(t, e.Unconfirmed)
		if i > 0 {
			require.False(t, e.Time.After(list[i-1].Time), "the newest comes first")
		}
		w := fmt.Sprint(e.Change, " ", e.Tag, e.Tags)
		for _, d := range []digest.Digest{digestOf(e.Before), digestOf(e.After)} {
			if d == "" {
				w += " -"
			} else {
				w += " " + d.Encoded()[:8]
			}
		}
		words = append(words, w)
	}
	return words
}

// historyOfTag checks that the history states who set a tag, to which manifest, and from which.
func (s *suite) historyOfTag(t *testing.T) {
	b, _ := s.new(t)
	got, err := collect(b.History(t.Context(), "a/b", nil), -1)
	require.NoError(t, err)
	require.Empty(t, got)
	one, two := tiny(1), tiny(2)
	set := func(c *Content, by string, tags ...string) {
		opts := &registry.PutOptions{By: by}
		for _, tag := range tags {
			opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
		}
		_, err := b.PutManifest(t.Context(), "a/b", c.Descriptor.MediaType, c.Manifest, opts)
		require.NoError(t, err)
	}
	set(one, s.Owner, "latest")
	set(one, s.Owner, "latest") // changes nothing
	set(two, s.Owner, "latest")
	set(two, s.Owner, "other")
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("latest"), &registry.DeleteOptions{By: s.Owner}))
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(two.Descriptor.Digest),
		&registry.DeleteOptions{By: s.Owner}))
	d1, d2 := one.Descriptor.Digest.Encoded()[:8], two.Descriptor.Digest.Encoded()[:8]
	all := []string{
		"delete [other] " + d2 + " -", "untag latest[] " + d2 + " -", "tag other[] - " + d2,
		"tag latest[] " + d1 + " " + d2, "tag latest[] - " + d1,
	}
	require.Equal(t, all, entries(t, b, "a/b", nil))
	require.Equal(t, []string{all[1], all[3], all[4]}, entries(t, b, "a/b", &registry.HistoryOptions{Tag: "latest"}))
	require.Equal(t, []string{all[0], all[2]}, entries(t, b, "a/b", &registry.HistoryOptions{Tag: "other"}))
	list, err := collect(b.History(t.Context(), "a/b", &registry.HistoryOptions{PageHint: 2}), 2)
	require.NoError(t, err)
	require.Equal(t, all[2:], entries(t, b, "a/b", &registry.HistoryOptions{After: list[1].ID}))
	deletes := []registry.Change{registry.ChangeUntag, registry.ChangeDelete}
	require.Equal(t, all[:2], entries(t, b, "a/b", &registry.HistoryOptions{Changes: deletes}))
	require.Equal(t, all[1:2], entries(t, b, "a/b", &registry.HistoryOptions{Changes: deletes, Tag: "latest"}))
	require.Empty(t, list[0].Of)
	require.Equal(t, s.Owner, list[0].By)
	require.Equal(t, two.Descriptor.MediaType, list[0].Before.MediaType)
	require.Empty(t, entries(t, b, "c/d", nil))
	_, err = collect(b.History(t.Context(), "A", nil), -1)
	requireError(t, err, registry.ErrNameInvalid)
	_, err = collect(b.History(t.Context(), "a/b", &registry.HistoryOptions{Tag: "-"}), -1)
	requireError(t, err, registry.ErrTagInvalid)
}

// restore requires that a restore succeeds.
func restore(t *testing.T, b registry.Backend, repo string, ref reference.Ref,
	opts *registry.RestoreOptions) registry.RestoreResult {
	t.Helper()
	res, err := b.Restore(t.Context(), repo, ref, opts)
	require.NoError(t, err)
	require.Empty(t, res.Lost)
	return res
}

// restoreTag checks that a moved or deleted tag can be restored, even if its manifest was deleted,
// and that a restore can be undone by another.
func (s *suite) restoreTag(t *testing.T) {
	b, _ := s.new(t)
	one, two, three := RandomImage(1, 1, 100), RandomImage(10, 1, 30000), tiny(3)
	push(t, b, "a/b", one, "latest")
	push(t, b, "a/b", two, "latest", "only")
	push(t, b, "a/b", three, "free")

	res := restore(t, b, "a/b", byTag("latest"), nil)
	require.Equal(t, []string{"latest"}, res.Manifests[0].Tags)
	require.Equal(t, one.Descriptor.Digest, res.Manifests[0].Descriptor.Digest)
	requireManifest(t, b, "a/b", one, "latest")
	restore(t, b, "a/b", byTag("latest"), nil)
	requireManifest(t, b, "a/b", two, "latest", "only")

	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("latest"), nil))
	restore(t, b, "a/b", byTag("latest"), nil)
	requireManifest(t, b, "a/b", two, "latest")

	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(two.Descriptor.Digest), nil))
	restore(t, b, "a/b", byTag("only"), nil)
	requireManifest(t, b, "a/b", two, "only")
	requireNoManifest(t, b, "a/b", byTag("latest"))
	restore(t, b, "a/b", byTag("latest"), &registry.RestoreOptions{To: three.Descriptor.Digest})
	requireManifest(t, b, "a/b", three, "latest", "free")

	for _, ref := range []reference.Ref{byTag("free"), byTag("never"), byDigest(zeros), byDigest(one.Descriptor.Digest)} {
		_, err := b.Restore(t.Context(), "a/b", ref, nil)
		requireError(t, err, registry.ErrManifestUnknown, "%v: it has no earlier version", ref)
	}
	_, err := b.Restore(t.Context(), "a/b", byTag("latest"), &registry.RestoreOptions{To: zeros})
	requireError(t, err, registry.ErrManifestUnknown)
	_, err = b.Restore(t.Context(), "a/b", byTag("latest"), &registry.RestoreOptions{
		To: one.Descriptor.Digest, SetTag: func(t *registry.TagPut) error { t.IfAbsent = true; return nil },
	})
	requireError(t, err, registry.ErrTagExists)
	_, err = b.Restore(t.Context(), "a/b", byTag("latest"),
		&registry.RestoreOptions{SetTag: func(*registry.TagPut) error { return registry.ErrDenied }})
	requireError(t, err, registry.ErrDenied)
	requireManifest(t, b, "a/b", three, "latest")
	_, err = b.Restore(t.Context(), "c/d", reference.Ref{}, nil)
	requireError(t, err, registry.ErrNameUnknown)
}

// restoreManifest checks that a manifest is restored with the children of an index and with those
// of its tags that are free.
func (s *suite) restoreManifest(t *testing.T) {
	b, _ := s.new(t)
	img, other := RandomImage(1, 2, 100), tiny(5)
	index := Index(img)
	art := Artifact("application/x.test", img.Descriptor, nil)
	push(t, b, "a/b", index, "latest", "taken", "denied")
	push(t, b, "a/b", art)
	for _, c := range []*Content{index, img, art} {
		require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(c.Descriptor.Digest), nil))
	}
	requireNoManifest(t, b, "a/b", byDigest(index.Descriptor.Digest), byDigest(img.Descriptor.Digest), byTag("latest"))
	push(t, b, "a/b", other, "taken")
	res := restore(t, b, "a/b", byDigest(index.Descriptor.Digest),
		&registry.RestoreOptions{SetTag: func(t *registry.TagPut) error {
			if t.Name == "denied" {
				return registry.ErrDenied
			}
			return nil
		}})
	require.Equal(t, []string{"latest"}, res.Manifests[0].Tags)
	requireManifest(t, b, "a/b", index, "latest")
	requireManifest(t, b, "a/b", img)
	requireManifest(t, b, "a/b", other, "taken")
	requireTags(t, b, "a/b", "latest", "taken")
	requireReferrers(t, b, "a/b", img.Descriptor.Digest)
	restore(t, b, "a/b", byDigest(art.Descriptor.Digest), nil)
	requireReferrers(t, b, "a/b", img.Descriptor.Digest, art.Descriptor.Digest)

	if s.Sparse || s.Opaque {
		return
	}
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(img.Descriptor.Digest), nil))
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(img.Blobs[1]), nil))
	_, err := b.Restore(t.Context(), "a/b", byDigest(img.Descriptor.Digest), nil)
	requireError(t, err, registry.ErrManifestBlobUnknown, "content that it names cannot be restored")
	requireNoManifest(t, b, "a/b", byDigest(img.Descriptor.Digest))
}

// restoreRepository checks that a deleted repository can be restored, and cannot be read until
// then.
func (s *suite) restoreRepository(t *testing.T) {
	b, _ := s.new(t)
	img, large := RandomImage(1, 2, 100), RandomImage(10, 1, 50000)
	index := Index(img, large)
	art := Artifact("application/x.test", img.Descriptor, nil)
	gone := RandomImage(20, 1, 100)
	push(t, b, "a/b", index, "latest", "v1")
	push(t, b, "a/b", art)
	push(t, b, "a/b", gone, "gone")
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(gone.Descriptor.Digest), nil))
	for range 2 {
		require.NoError(t, b.DeleteRepository(t.Context(), "a/b", nil))
		requireRepositories(t, b)
		requireNoManifest(t, b, "a/b", byTag("v1"), byDigest(index.Descriptor.Digest), byDigest(img.Descriptor.Digest))
		for _, blob := range append(img.Blobs, large.Blobs...) {
			requireNoBlob(t, b, "a/b", digest.FromBytes(blob))
			_, err := b.MountBlob(t.Context(), "c/d", digest.FromBytes(blob), &registry.MountOptions{From: "a/b"})
			requireError(t, err, registry.ErrBlobUnknown)
		}
		requireError(t, b.DeleteRepository(t.Context(), "a/b", nil), registry.ErrNameUnknown)
		res := restore(t, b, "a/b", reference.Ref{}, nil)
		require.Len(t, res.Manifests, 4)
		requireRepositories(t, b, "a/b")
		requireTags(t, b, "a/b", "latest", "v1")
		requireManifest(t, b, "a/b", index, "latest", "v1")
		requireReferrers(t, b, "a/b", img.Descriptor.Digest, art.Descriptor.Digest)
		for _, c := range []*Content{img, large} {
			requireManifest(t, b, "a/b", c)
			for _, blob := range c.Blobs {
				requireBlob(t, b, "a/b", blob)
			}
		}
		requireNoManifest(t, b, "a/b", byDigest(gone.Descriptor.Digest), byTag("gone"))
	}
	require.NoError(t, b.DeleteRepository(t.Context(), "a/b", nil))
	push(t, b, "a/b", tiny(1), "latest") // a new repository of that name
	push(t, b, "a/b", img)
	restore(t, b, "a/b", reference.Ref{}, nil)
	requireManifest(t, b, "a/b", tiny(1), "latest")
	requireManifest(t, b, "a/b", index, "v1")
}

// restoreBesideDelete checks that concurrent restores and deletes leave the repository complete.
func (s *suite) restoreBesideDelete(t *testing.T) {
	b, _ := s.new(t)
	const repo = "a/b"
	img := RandomImage(1, 2, 500)
	push(t, b, repo, img, "latest")
	for round := range 15 {
		errs := race(5, func(i int) error {
			var err error
			switch i {
			case 0:
				_, err = b.Restore(t.Context(), repo, byDigest(img.Descriptor.Digest), nil)
			case 1:
				_, err = b.Restore(t.Context(), repo, reference.Ref{}, nil)
			case 2:
				_, err = b.Restore(t.Context(), repo, byTag("latest"), nil)
			case 3:
				err = b.DeleteManifest(t.Context(), repo, byDigest(img.Descriptor.Digest), nil)
			default:
				if !s.NoDeleteRepository {
					err = b.DeleteRepository(t.Context(), repo, nil)
				}
			}
			for _, may := range []error{registry.ErrManifestUnknown, registry.ErrNameUnknown, registry.ErrUnavailable,
				registry.ErrManifestBlobUnknown, context.Canceled} {
				if errors.Is(err, may) {
					return nil
				}
			}
			return err
		})
		require.NoError(t, errors.Join(errs...), "round %d", round)
		s.requireWhole(t, b, repo, img)
	}
	push(t, b, repo, img, "latest")
	s.requireWhole(t, b, repo, img)
}

func digestOf(d *ocispec.Descriptor) digest.Digest {
	if d == nil {
		return ""
	}
	return d.Digest
}
