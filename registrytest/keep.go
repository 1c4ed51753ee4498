package registrytest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// keepV keeps tags that start with "v".
var keepV = &registry.DeleteOptions{Keep: func(tag string) bool { return strings.HasPrefix(tag, "v") }}

// kept returns a tag that a delete with keepV keeps.
func kept(tag string) registry.TagPut { return registry.TagPut{Name: tag, IfAbsent: true, Keep: true} }

// keepRefused checks that a backend that cannot keep tags rejects the conditions and deletes
// nothing.
func (s *suite) keepRefused(t *testing.T) {
	b, _ := s.new(t)
	img := RandomImage(1, 1, 100)
	push(t, b, "a/b", img, "latest")
	requireError(t, put(t.Context(), b, "a/b", img, registry.TagPut{Name: "v1", Keep: true}), registry.ErrUnsupported)
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(img.Descriptor.Digest), keepV), registry.ErrUnsupported)
	requireError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(img.Blobs[0]), keepV), registry.ErrUnsupported)
	requireError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(img.Blobs[0]), ifUnused), registry.ErrUnsupported)
	err := b.DeleteManifest(t.Context(), "a/b", byDigest(img.Descriptor.Digest), ifUnused)
	requireError(t, err, registry.ErrUnsupported)
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byTag("latest"),
		&registry.DeleteOptions{NotSetAfter: time.Now().Add(time.Hour)}), registry.ErrUnsupported)
	requireError(t, b.DeleteRepository(t.Context(), "a/b", keepV), registry.ErrUnsupported)
	requireBlob(t, b, "a/b", img.Blobs[0])
	requireManifest(t, b, "a/b", img, "latest")
	requireTags(t, b, "a/b", "latest")
}

// keep checks that no operation deletes what a kept tag reaches, and that everything else can be
// deleted.
func (s *suite) keep(t *testing.T) {
	b, _ := s.new(t)
	a, c := RandomImage(1, 2, 100), RandomImage(10, 1, 20000)
	inner := Index(a)
	outer := Index(inner, c)
	other := RandomImage(20, 1, 100)
	push(t, b, "a/b", outer, "latest")
	push(t, b, "a/b", other, "latest", "free")
	require.NoError(t, put(t.Context(), b, "a/b", outer, kept("v1")))

	denied := func(err error, what string) {
		t.Helper()
		requireError(t, err, registry.ErrDenied, what)
		var e *registry.Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Message(), "v1", "it must say which tag")
	}
	denied(b.DeleteManifest(t.Context(), "a/b", byTag("v1"), keepV), "the tag")
	for name, m := range map[string]*Content{"its manifest": outer, "a child": c, "an index below": inner,
		"a child of that": a} {
		denied(b.DeleteManifest(t.Context(), "a/b", byDigest(m.Descriptor.Digest), keepV), name)
		requireManifest(t, b, "a/b", m)
	}
	for _, blob := range append(a.Blobs, c.Blobs...) {
		denied(b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(blob), keepV), "a blob")
		requireBlob(t, b, "a/b", blob)
	}
	if !s.NoDeleteRepository {
		denied(b.DeleteRepository(t.Context(), "a/b", keepV), "the repository")
		requireError(t, b.DeleteRepository(t.Context(), "c/d", keepV), registry.ErrNameUnknown)
	}
	requireManifest(t, b, "a/b", outer, "v1")
	requireTags(t, b, "a/b", "free", "latest", "v1")

	require.NoError(t, put(t.Context(), b, "a/b", outer, kept("v1")), "the same again")
	requireError(t, put(t.Context(), b, "a/b", other, kept("v1")), registry.ErrTagExists)
	requireManifest(t, b, "a/b", outer, "v1")

	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("free"), keepV))
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(other.Descriptor.Digest), keepV))
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(other.Blobs[0]), keepV))
	requireNoManifest(t, b, "a/b", byTag("latest"), byDigest(other.Descriptor.Digest))
	requireNoBlob(t, b, "a/b", digest.FromBytes(other.Blobs[0]))

	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), nil), "without the condition it goes")
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(a.Descriptor.Digest), keepV))
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(c.Blobs[0]), keepV))
}

// keepWhole checks that a kept tag is not set on an incomplete manifest.
func (s *suite) keepWhole(t *testing.T) {
	if s.Opaque || s.Sparse {
		t.Skip("manifests need not be whole")
	}
	b, _ := s.new(t)
	img := RandomImage(1, 2, 100)
	push(t, b, "a/b", img, "latest")
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(img.Blobs[1]), nil))
	for range 2 {
		requireError(t, put(t.Context(), b, "a/b", img, kept("v1")), registry.ErrManifestBlobUnknown)
		requireNoManifest(t, b, "a/b", byTag("v1"))
	}
	index := Index(img)
	requireError(t, put(t.Context(), b, "a/b", index, kept("v1")), registry.ErrManifestBlobUnknown,
		"a blob of a child is missing")
	requireNoManifest(t, b, "a/b", byTag("v1"))
	s.pushBlob(t, b, "a/b", img.Blobs[1])
	require.NoError(t, put(t.Context(), b, "a/b", index, kept("v1")))
	require.NoError(t, put(t.Context(), b, "a/b", img, kept("v2")))
	// An existing tag stays although content of its manifest has been lost.
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(img.Blobs[1]), nil))
	requireError(t, put(t.Context(), b, "a/b", img, kept("v2")), registry.ErrManifestBlobUnknown)
	requireManifest(t, b, "a/b", img, "v2")
}

// keepLeavesSubject checks that the subject of a kept manifest can be deleted, and that what the
// tag reaches stays.
func (s *suite) keepLeavesSubject(t *testing.T) {
	b, _ := s.new(t)
	subject := RandomImage(1, 2, 100)
	art := Artifact("application/x.test", subject.Descriptor, nil)
	index := Index(art)
	push(t, b, "a/b", subject, "latest")
	push(t, b, "a/b", index)
	require.NoError(t, put(t.Context(), b, "a/b", art, kept("v1")))
	require.NoError(t, put(t.Context(), b, "a/b", index, kept("v2")))
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(subject.Descriptor.Digest), keepV))
	require.NoError(t, b.DeleteBlob(t.Context(), "a/b", digest.FromBytes(subject.Blobs[1]), keepV))
	requireNoManifest(t, b, "a/b", byTag("latest"), byDigest(subject.Descriptor.Digest))
	requireManifest(t, b, "a/b", art, "v1")
	requireManifest(t, b, "a/b", index, "v2")
	for _, blob := range art.Blobs {
		requireBlob(t, b, "a/b", blob)
	}
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(art.Descriptor.Digest), keepV), registry.ErrDenied)
}

// keepBesideDelete checks that a manifest pushed under a kept tag is complete, whatever is deleted
// concurrently.
func (s *suite) keepBesideDelete(t *testing.T) {
	b, _ := s.new(t)
	second := b
	if s.Reopen != nil {
		second = s.Reopen(t, b)
	}
	for round := range 30 {
		repo := fmt.Sprint("r", round)
		img, twin := RandomImage(uint64(round)*10, 2, 100), RandomImage(uint64(round)*10+5, 1, 30000)
		index := Index(img, twin)
		push(t, b, repo, index)
		removes := s.keepingDeletes(t.Context(), repo, index, img, twin)
		// Each round has the push and another selection of deletes, so that their order varies.
		n := 1 + round%len(removes)
		var pushed error
		errs := race(1+n, func(i int) error {
			if i == 0 {
				pushed = put(t.Context(), b, repo, index, kept("v1"))
				if errors.Is(pushed, registry.ErrManifestBlobUnknown) || errors.Is(pushed, registry.ErrUnavailable) {
					return nil
				}
				return pushed
			}
			err := removes[(round+i)%len(removes)](second)
			if errors.Is(err, registry.ErrDenied) || errors.Is(err, registry.ErrBlobUnknown) ||
				errors.Is(err, registry.ErrNameUnknown) {
				return nil
			}
			return besideDelete(err)
		})
		require.NoError(t, errors.Join(errs...), "round %d", round)
		if pushed != nil {
			continue
		}
		requireManifest(t, second, repo, index, "v1")
		if s.Sparse { // content deleted before the push may be missing
			continue
		}
		for _, m := range []*Content{img, twin} {
			requireManifest(t, second, repo, m)
			for _, blob := range m.Blobs {
				requireBlob(t, second, repo, blob)
			}
		}
	}
}

// keepingDeletes returns deletes, with keepV, of index, of its children and of one blob of each
// child.
func (s *suite) keepingDeletes(ctx context.Context, repo string, index *Content,
	children ...*Content) []func(b registry.Backend) error {
	var removes []func(b registry.Backend) error
	for _, m := range append([]*Content{index}, children...) {
		removes = append(removes, func(b registry.Backend) error {
			return b.DeleteManifest(ctx, repo, byDigest(m.Descriptor.Digest), keepV)
		})
	}
	for _, m := range children {
		removes = append(removes, func(b registry.Backend) error {
			return b.DeleteBlob(ctx, repo, digest.FromBytes(m.Blobs[1]), keepV)
		})
	}
	if !s.NoDeleteRepository {
		removes = append(removes, func(b registry.Backend) error { return b.DeleteRepository(ctx, repo, keepV) })
	}
	return removes
}

// immutableRace checks that of many callers that set a kept tag to different manifests, on two
// replicas, exactly one succeeds, and that its content stays.
func (s *suite) immutableRace(t *testing.T) {
	b, _ := s.new(t)
	replicas := []registry.Backend{b, b}
	if s.Reopen != nil {
		replicas[1] = s.Reopen(t, b)
	}
	const writers = 100
	errs := race(writers, func(i int) error { return put(t.Context(), replicas[i%2], "a/b", tiny(i), kept("v1")) })
	winner := -1
	for i, err := range errs {
		if err != nil {
			requireError(t, err, registry.ErrTagExists)
			continue
		}
		require.Equal(t, -1, winner, "two have set one tag")
		winner = i
	}
	require.NotEqual(t, -1, winner, "no call has set the tag: %v", errors.Join(errs...))
	for _, r := range replicas {
		requireManifest(t, r, "a/b", tiny(winner), "v1")
	}
	requireAll(t, race(10, func(i int) error { return putAgain(t.Context(), replicas[i%2], tiny(winner)) }))
}

func putAgain(ctx context.Context, b registry.Backend, c *Content) error {
	return put(ctx, b, "a/b", c, kept("v1"))
}
