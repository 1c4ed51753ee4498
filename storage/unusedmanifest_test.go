package storage_test

import (
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

var unused = &registry.DeleteOptions{IfUnused: true}

// unusedCase is a push that leads to a manifest, beside a delete of the manifest if nothing does.
type unusedCase struct {
	target func(t *testing.T, s *storage.Store) ocispec.Descriptor          // pushes the manifest
	push   func(t *testing.T, s *storage.Store, d ocispec.Descriptor) error // leads to it
	again  bool                                                             // the push contains the manifest
}

func unusedCases() map[string]unusedCase {
	plain := func(t *testing.T, s *storage.Store) ocispec.Descriptor {
		return putImage(t, s, "r", image("target", nil, pushBlob(t, s, "r", []byte("{}"))), nil)
	}
	config := ocispec.Descriptor{
		MediaType: "application/octet-stream", Digest: digest.FromString("{}"), Size: 2,
	}
	subject := image("subject", nil, config)
	of := ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(subject), Size: int64(len(subject)),
	}
	put := func(t *testing.T, s *storage.Store, content []byte, opts *registry.PutOptions) error {
		_, err := s.PutManifest(t.Context(), "r", "", content, opts)
		return err
	}
	return map[string]unusedCase{
		"tag": {plain, func(t *testing.T, s *storage.Store, _ ocispec.Descriptor) error {
			return put(t, s, image("target", nil, config), tags("v1"))
		}, true},
		"moved tag": {func(t *testing.T, s *storage.Store) ocispec.Descriptor {
			d := plain(t, s)
			putImage(t, s, "r", image("other", nil, config), tags("v1"))
			return d
		}, func(t *testing.T, s *storage.Store, _ ocispec.Descriptor) error {
			return put(t, s, image("target", nil, config), tags("v1"))
		}, true},
		"index": {plain, func(t *testing.T, s *storage.Store, d ocispec.Descriptor) error {
			return put(t, s, index(t, d), tags("index"))
		}, false},
		"subject": {func(t *testing.T, s *storage.Store) ocispec.Descriptor {
			return putImage(t, s, "r", image("target", &of, pushBlob(t, s, "r", []byte("{}"))), nil)
		}, func(t *testing.T, s *storage.Store, _ ocispec.Descriptor) error {
			return put(t, s, subject, tags("subject"))
		}, false},
	}
}

// TestDeleteUnusedBesidePush lets a push that leads to a manifest happen before each operation of a delete
// of it, and the other way round. Whatever leads to it afterwards leads to a manifest that is there.
func TestDeleteUnusedBesidePush(t *testing.T) {
	for name, c := range unusedCases() {
		for _, outer := range []string{"delete", "push"} {
			t.Run(name+"/"+outer, func(t *testing.T) {
				for n, nested := 1, true; nested; n++ {
					var d ocispec.Descriptor
					var pushed, deleted error
					push := func(s *storage.Store) { pushed = c.push(t, s, d) }
					remove := func(s *storage.Store) { deleted = s.DeleteManifest(t.Context(), "r", byDigest(d.Digest), unused) }
					first, second := remove, push
					if outer == "push" {
						first, second = push, remove
					}
					var s *storage.Store
					s, nested = nest(t, n, func(s *storage.Store) { d = c.target(t, s) }, first, second)
					if !nested {
						second(s)
					}
					requireUnused(t, s, c, d, pushed, deleted)
					collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true})
					requireUnused(t, s, c, d, pushed, deleted)
				}
			})
		}
	}
}

// requireUnused checks what a push and a delete have left.
func requireUnused(t *testing.T, s *storage.Store, c unusedCase, d ocispec.Descriptor, pushed, deleted error) {
	t.Helper()
	_, err := s.GetManifest(t.Context(), "r", byDigest(d.Digest))
	there := err == nil
	if deleted != nil {
		require.True(t, errors.Is(deleted, registry.ErrDenied) || errors.Is(deleted, registry.ErrManifestUnknown), deleted)
		require.True(t, there || pushed != nil)
	}
	switch {
	case pushed != nil:
		require.ErrorIs(t, pushed, registry.ErrManifestBlobUnknown)
		require.NoError(t, deleted)
		require.False(t, c.again)
	case c.again:
		require.True(t, there)
	case deleted == nil:
		require.False(t, there, "a delete that has succeeded came first")
	}
	for tag := range map[string]bool{"v1": true, "index": true} {
		if _, err := s.GetManifest(t.Context(), "r", byTag(tag)); err == nil && pushed == nil {
			require.True(t, there, "the tag %s leads to it", tag)
		}
	}
}

// TestDeleteUnusedAfterEachFailure: a delete that dies anywhere leaves a manifest that is served or gone,
// and a further one completes it.
func TestDeleteUnusedAfterEachFailure(t *testing.T) {
	for n := 1; ; n++ {
		d := newMemory(t)
		s := newStore(t, d, withHistory)
		config := pushBlob(t, s, "r", []byte("{}"))
		gone := ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("gone"), Size: 4,
		}
		content := image("target", &gone, config)
		desc := putImage(t, s, "r", content, nil)
		faulty := drivertest.NewFaulty(d, nil)
		dying := newStore(t, faulty, withHistory)
		faulty.CutAfter(n)
		err := dying.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), unused)
		m, rerr := s.GetManifest(t.Context(), "r", byDigest(desc.Digest))
		if rerr == nil {
			require.Equal(t, content, m.Content)
			require.Error(t, err, "%d", n)
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), unused))
		}
		_, rerr = s.Restore(t.Context(), "r", byDigest(desc.Digest), nil)
		require.NoError(t, rerr, "%d", n)
		require.Len(t, collect(t, s.Referrers(t.Context(), "r", gone.Digest, nil)), 1)
		if err == nil {
			require.Greater(t, n, 5)
			return
		}
	}
}
