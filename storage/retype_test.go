package storage_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

const otherType = "application/vnd.example.squatter+json"

// typeless returns an image manifest that does not state its media type.
func typeless(t *testing.T, config ocispec.Descriptor) []byte {
	t.Helper()
	desc, err := json.Marshal(config)
	require.NoError(t, err)
	return fmt.Appendf(nil, `{"schemaVersion":2,"config":%s,"layers":[]}`, desc)
}

// pushAs pushes content under a media type.
func pushAs(t *testing.T, s *storage.Store, mediaType string, content []byte, opts *registry.PutOptions) error {
	_, err := s.PutManifest(t.Context(), "r", mediaType, content, opts)
	return err
}

// requireTyped demands that a tag leads to the content with a media type, and that everything
// that states the type agrees.
func requireTyped(t *testing.T, s *storage.Store, tag, mediaType string, content []byte, at string) {
	t.Helper()
	m, err := s.GetManifest(t.Context(), "r", byTag(tag))
	require.NoError(t, err, at)
	require.Equal(t, mediaType, m.Descriptor.MediaType, at)
	require.Equal(t, content, m.Content, at)
	for _, ref := range []string{tag, ""} {
		r := byTag(ref)
		if ref == "" {
			r = byDigest(m.Descriptor.Digest)
		}
		desc, err := s.StatManifest(t.Context(), "r", r, nil)
		require.NoError(t, err, at)
		require.Equal(t, mediaType, desc.MediaType, at)
	}
}

// TestMediaTypeBesidePush pushes the same content twice, with two tags and two media types. It
// runs one whole push before each operation of the other. Exactly one of them is accepted, and
// the other leaves no tag.
func TestMediaTypeBesidePush(t *testing.T) {
	types := map[string]string{"a": ocispec.MediaTypeImageManifest, "b": otherType}
	for _, first := range []string{ocispec.MediaTypeImageManifest, otherType} {
		for n := 1; ; n++ {
			var content []byte
			errs := map[string]error{}
			push := func(tag string) func(s *storage.Store) {
				return func(s *storage.Store) { errs[tag] = pushAs(t, s, types[tag], content, tags(tag)) }
			}
			prepare := func(s *storage.Store) {
				content = typeless(t, pushBlob(t, s, "r", []byte("{}")))
				require.NoError(t, pushAs(t, s, first, content, nil))
			}
			s, nested := nest(t, n, prepare, push("a"), push("b"))
			if !nested {
				require.Greater(t, n, 5)
				break
			}
			at := fmt.Sprint(first, ", operation ", n)
			won := 0
			for tag, err := range errs {
				if err == nil {
					won++
					requireTyped(t, s, tag, types[tag], content, at)
					continue
				}
				require.ErrorIs(t, err, registry.ErrManifestInvalid, at)
				require.NotContains(t, collect(t, s.Tags(t.Context(), "r", nil)), tag, at)
			}
			require.Equal(t, 1, won, at)
		}
	}
}

// TestMediaTypeBesideDelete deletes the manifest before each operation of a push that changes
// its media type.
func TestMediaTypeBesideDelete(t *testing.T) {
	for n := 1; ; n++ {
		var content []byte
		var pushed, removed error
		s, nested := nest(t, n, func(s *storage.Store) {
			content = typeless(t, pushBlob(t, s, "r", []byte("{}")))
			require.NoError(t, pushAs(t, s, otherType, content, nil))
		}, func(s *storage.Store) {
			pushed = pushAs(t, s, ocispec.MediaTypeImageManifest, content, tags("v1"))
		}, func(s *storage.Store) {
			removed = s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(content)), nil)
		})
		if !nested {
			require.Greater(t, n, 5)
			return
		}
		require.NoError(t, pushed, n)
		require.NoError(t, removed, n)
		if _, err := s.GetManifest(t.Context(), "r", byTag("v1")); err == nil {
			requireTyped(t, s, "v1", ocispec.MediaTypeImageManifest, content, fmt.Sprint(n))
		} else { // the delete came last
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
			require.Empty(t, collect(t, s.Tags(t.Context(), "r", nil)), n)
		}
	}
}

// TestMediaTypeAfterInterruptedPush interrupts a push that changes the media type. The manifest
// can be read, pushed again, collected and deleted like any other.
func TestMediaTypeAfterInterruptedPush(t *testing.T) {
	for name, then := range map[string]func(t *testing.T, s *storage.Store, content []byte){
		"pushed": func(t *testing.T, s *storage.Store, content []byte) {
			require.NoError(t, pushAs(t, s, ocispec.MediaTypeImageManifest, content, tags("v1")))
			requireTyped(t, s, "v1", ocispec.MediaTypeImageManifest, content, "")
		},
		"deleted": func(t *testing.T, s *storage.Store, content []byte) {
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(content)), nil))
			require.Empty(t, collect(t, s.Tags(t.Context(), "r", nil)))
		},
		"collected": func(t *testing.T, s *storage.Store, content []byte) {
			collected(t, s, untagged)
			_, err := s.GetManifest(t.Context(), "r", byDigest(digest.FromBytes(content)))
			require.Equal(t, len(collect(t, s.Tags(t.Context(), "r", nil))) == 0, err != nil)
		},
	} {
		for n := 0; ; n++ {
			driver := newMemory(t)
			s := newStore(t, driver, nil)
			content := typeless(t, pushBlob(t, s, "r", []byte("{}")))
			require.NoError(t, pushAs(t, s, otherType, content, nil))
			faulty := drivertest.NewFaulty(driver, nil)
			dying := newStore(t, faulty, nil)
			faulty.CutAfter(n)
			err := pushAs(t, dying, ocispec.MediaTypeImageManifest, content, tags("v1"))
			m, gerr := s.GetManifest(t.Context(), "r", byDigest(digest.FromBytes(content)))
			require.NoError(t, gerr, "%s, write %d", name, n)
			require.Equal(t, content, m.Content)
			then(t, s, content)
			if err == nil {
				require.Greater(t, n, 3)
				break
			}
		}
	}
}

// TestMediaTypeOfRestoredTag checks that a restored tag has its former manifest, unless another
// tag has fixed another media type since.
func TestMediaTypeOfRestoredTag(t *testing.T) {
	s := newStore(t, newMemory(t), withHistory)
	config := pushBlob(t, s, "r", []byte("{}"))
	content := typeless(t, config)
	require.NoError(t, pushAs(t, s, otherType, content, tags("v1")))
	putImage(t, s, "r", image("other", nil, config), tags("v1"))
	require.NoError(t, pushAs(t, s, ocispec.MediaTypeImageManifest, content, tags("v2")))
	_, err := s.Restore(t.Context(), "r", byTag("v1"), nil)
	require.NoError(t, err)
	requireTyped(t, s, "v1", ocispec.MediaTypeImageManifest, content, "")
	requireTyped(t, s, "v2", ocispec.MediaTypeImageManifest, content, "")
}

// TestIndexOfChildWithOtherMediaType pushes a child under another media type first, as any other
// client may. The push of the index is refused until the owner has pushed the child with a tag,
// which fixes the type. A child that states its own type cannot be mistaken.
func TestIndexOfChildWithOtherMediaType(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	content := typeless(t, pushBlob(t, s, "r", []byte("{}")))
	child := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(content),
		Size: int64(len(content))}
	require.NoError(t, pushAs(t, s, otherType, content, nil))
	push := func(opts *registry.PutOptions) error {
		return pushAs(t, s, ocispec.MediaTypeImageIndex, index(t, child), opts)
	}
	require.ErrorIs(t, push(tags("v1")), registry.ErrManifestInvalid)
	require.ErrorIs(t, push(nil), registry.ErrManifestInvalid)
	require.NoError(t, pushAs(t, s, ocispec.MediaTypeImageManifest, content, tags("v1-amd64")))
	require.ErrorIs(t, pushAs(t, s, otherType, content, tags("squat")), registry.ErrManifestInvalid, "a tag leads to it")
	require.NoError(t, push(tags("v1")))
	require.NoError(t, push(tags("v2")))

	stated := image("stated", nil, pushBlob(t, s, "r", []byte("{}")))
	child = putImage(t, s, "r", stated, nil)
	child.MediaType = ocispec.MediaTypeImageIndex
	require.NoError(t, push(tags("lies")))
}
