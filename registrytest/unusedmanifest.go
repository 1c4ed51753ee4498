package registrytest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// deleteManifestIfUnused checks that a manifest stays while a tag, another manifest or its subject
// leads to it, and that it can be deleted after the last of them.
func (s *suite) deleteManifestIfUnused(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	child, alone := RandomImage(1, 1, 100), RandomImage(10, 1, 100)
	inner := Index(child)
	outer := Index(inner)
	sig := Artifact("application/x-signature", outer.Descriptor, nil)
	sigOfSig := Artifact("application/x-signature", sig.Descriptor, nil)
	for _, c := range []*Content{outer, sig, sigOfSig, alone} {
		push(t, b, "a/b", c)
	}
	push(t, b, "a/b", outer, "v1")
	push(t, b, "c/d", child)

	unused := func(c *Content) error {
		return b.DeleteManifest(t.Context(), "a/b", byDigest(c.Descriptor.Digest), ifUnused)
	}
	used := func(c *Content, by string) {
		t.Helper()
		err := unused(c)
		requireError(t, err, registry.ErrDenied)
		var e *registry.Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Message(), by, "it must say what uses it")
		requireManifest(t, b, "a/b", c)
	}
	used(outer, "v1")
	used(inner, string(outer.Descriptor.Digest))
	used(child, string(inner.Descriptor.Digest))
	used(sig, "refers")
	used(sigOfSig, "refers")
	requireReferrers(t, b, "a/b", outer.Descriptor.Digest, sig.Descriptor.Digest)
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), ifUnused), registry.ErrUnsupported)
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(zeros), ifUnused), registry.ErrManifestUnknown)
	if !s.NoConditions {
		requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(alone.Descriptor.Digest),
			&registry.DeleteOptions{IfUnused: true, If: matching(child)}), registry.ErrPreconditionFailed)
	}

	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), nil))
	for _, c := range []*Content{outer, inner, child, sig, sigOfSig, alone} {
		require.NoError(t, unused(c))
		requireNoManifest(t, b, "a/b", byDigest(c.Descriptor.Digest))
		requireError(t, unused(c), registry.ErrManifestUnknown)
	}
	requireReferrers(t, b, "a/b", outer.Descriptor.Digest)
	requireReferrers(t, b, "a/b", sig.Descriptor.Digest)
	requireManifest(t, b, "c/d", child)

	push(t, b, "a/b", sig)
	push(t, b, "a/b", outer, "v1")
	requireReferrers(t, b, "a/b", outer.Descriptor.Digest, sig.Descriptor.Digest)
}

// deleteManifestIfUnusedRace checks that of a delete of an unused manifest and a push that leads to
// it, only one succeeds, or the push puts the manifest back.
func (s *suite) deleteManifestIfUnusedRace(t *testing.T) {
	if s.Opaque || s.Sparse {
		t.Skip("manifests need not be whole")
	}
	b, _ := s.new(t)
	second := b
	if s.Reopen != nil {
		second = s.Reopen(t, b)
	}
	for round := range 30 {
		c, other := RandomImage(uint64(10*round), 1, 100), tiny(round)
		sig := Artifact("application/x-signature", other.Descriptor, map[string]string{"of": string(c.Descriptor.Digest)})
		target := []*Content{c, c, sig}[round%3]
		push(t, b, "a/b", target)
		errs := race(2, func(i int) error {
			if i == 1 {
				return second.DeleteManifest(t.Context(), "a/b", byDigest(target.Descriptor.Digest), ifUnused)
			}
			switch round % 3 {
			case 0:
				return put(t.Context(), b, "a/b", c, registry.TagPut{Name: "v1"})
			case 1:
				return put(t.Context(), b, "a/b", Index(c))
			}
			return put(t.Context(), b, "a/b", other)
		})
		s.requireUnusedRace(t, second, target, round%3, errs[0], errs[1])
	}
}

// requireUnusedRace checks the outcome of a round of deleteManifestIfUnusedRace: kind is 0 for a push of
// a tag, 1 for an index, 2 for the subject.
func (s *suite) requireUnusedRace(t *testing.T, b registry.Backend, target *Content, kind int, pushed, deleted error) {
	t.Helper()
	if deleted != nil {
		require.True(t, errors.Is(deleted, registry.ErrDenied) || errors.Is(deleted, registry.ErrUnavailable), deleted)
	}
	switch {
	case pushed != nil:
		require.Equal(t, 1, kind, "%v", pushed)
		require.True(t, errors.Is(pushed, registry.ErrManifestBlobUnknown) || errors.Is(pushed, registry.ErrUnavailable),
			pushed)
	case kind == 0:
		requireManifest(t, b, "a/b", target, "v1")
	case kind == 1:
		require.Error(t, deleted)
		requireManifest(t, b, "a/b", target)
	case deleted == nil: // the subject came after the delete
		requireNoManifest(t, b, "a/b", byDigest(target.Descriptor.Digest))
	default:
		requireManifest(t, b, "a/b", target)
	}
}

// deleteNotSetAfter checks that a tag that was set again is not deleted, and no unused manifest that was
// pushed again.
func (s *suite) deleteNotSetAfter(t *testing.T) {
	b, _ := s.new(t)
	c := tiny(1)
	push(t, b, "a/b", c, "v1", "v2")
	before := &registry.DeleteOptions{NotSetAfter: time.Now().Add(-time.Hour)}
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), before), registry.ErrPreconditionFailed)
	requireManifest(t, b, "a/b", c, "v1", "v2")
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v3"), before), registry.ErrManifestUnknown)
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(c.Descriptor.Digest), before), registry.ErrUnsupported)
	requireError(t, b.DeleteBlob(t.Context(), "a/b", zeros, before), registry.ErrUnsupported)
	if !s.NoDeleteRepository {
		requireError(t, b.DeleteRepository(t.Context(), "a/b", before), registry.ErrUnsupported)
	}
	after := &registry.DeleteOptions{NotSetAfter: time.Now().Add(time.Hour)}
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byTag("v1"), after))
	requireManifest(t, b, "a/b", c, "v2")
	requireTags(t, b, "a/b", "v2")
	if s.Opaque {
		return
	}
	free := tiny(2)
	push(t, b, "a/b", free)
	before.IfUnused, after.IfUnused = true, true
	requireError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(free.Descriptor.Digest), before),
		registry.ErrPreconditionFailed)
	requireManifest(t, b, "a/b", free)
	require.NoError(t, b.DeleteManifest(t.Context(), "a/b", byDigest(free.Descriptor.Digest), after))
	requireNoManifest(t, b, "a/b", byDigest(free.Descriptor.Digest))
}

// restoreUnused checks that a manifest that was deleted because nothing led to it can be restored, and
// that the tags that led to it before can be.
func (s *suite) restoreUnused(t *testing.T) {
	b, _ := s.new(t)
	child := RandomImage(1, 1, 100)
	index := Index(child)
	push(t, b, "a/b", index, "v1")
	remove := func(ctx context.Context) {
		require.NoError(t, b.DeleteManifest(ctx, "a/b", byTag("v1"), nil))
		for _, c := range []*Content{index, child} {
			require.NoError(t, b.DeleteManifest(ctx, "a/b", byDigest(c.Descriptor.Digest),
				&registry.DeleteOptions{IfUnused: true, By: s.Owner}))
		}
	}
	remove(t.Context())
	require.Equal(t, "delete [] "+child.Descriptor.Digest.Encoded()[:8]+" -", entries(t, b, "a/b", nil)[0])
	_, err := b.Restore(t.Context(), "a/b", byTag("v1"), nil)
	require.NoError(t, err)
	requireManifest(t, b, "a/b", index, "v1")
	requireManifest(t, b, "a/b", child)
	remove(t.Context())
	_, err = b.Restore(t.Context(), "a/b", byDigest(index.Descriptor.Digest), nil)
	require.NoError(t, err)
	requireManifest(t, b, "a/b", index)
	requireManifest(t, b, "a/b", child)
	requireTags(t, b, "a/b")
}
