package storage_test

import (
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// keepScene is a repository with an untagged index of one untagged image.
type keepScene struct {
	config, child ocispec.Descriptor
	index         []byte
}

func newKeepScene(t *testing.T, s *storage.Store) keepScene {
	var k keepScene
	k.config = pushBlob(t, s, "r", []byte("{}"))
	k.child = putImage(t, s, "r", image("", nil, k.config), nil)
	var err error
	k.index, err = json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{k.child},
	})
	require.NoError(t, err)
	return k
}

// push sets the tag v1 on the index, with Keep.
func (k *keepScene) push(t *testing.T, s *storage.Store) error {
	_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageIndex, k.index,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: "v1", IfAbsent: true, Keep: true}}})
	return err
}

// TestKeepBesideDelete runs a whole push of a kept tag before each operation of a delete in
// turn, and the other way round. The delete is refused, or the push is refused, or the delete
// has no effect. Both succeed only if the tag reaches everything.
func TestKeepBesideDelete(t *testing.T) {
	deletes := map[string]func(k keepScene, s *storage.Store) error{
		"child": func(k keepScene, s *storage.Store) error {
			return s.DeleteManifest(t.Context(), "r", byDigest(k.child.Digest), keepAll)
		},
		"blob": func(k keepScene, s *storage.Store) error {
			return s.DeleteBlob(t.Context(), "r", k.config.Digest, keepAll)
		},
		"repository": func(_ keepScene, s *storage.Store) error { return s.DeleteRepository(t.Context(), "r", keepAll) },
	}
	for name, remove := range deletes {
		for _, pushFirst := range []bool{false, true} {
			n := 1
			for keepOnce(t, name, remove, pushFirst, n) {
				n++
			}
			require.Greater(t, n, 5)
		}
	}
}

// keepOnce runs one of the two, and the other before operation n of the first. It reports
// whether there was such an operation.
func keepOnce(t *testing.T, name string, remove func(k keepScene, s *storage.Store) error, pushFirst bool, n int) bool {
	var k keepScene
	var pushed, removed error
	push := func(s *storage.Store) { pushed = k.push(t, s) }
	del := func(s *storage.Store) { removed = remove(k, s) }
	outer, inner := push, del
	if !pushFirst {
		outer, inner = del, push
	}
	s, nested := nest(t, n, func(s *storage.Store) { k = newKeepScene(t, s) }, outer, inner)
	if !nested {
		return false
	}
	if pushed != nil {
		require.True(t, errors.Is(pushed, registry.ErrManifestBlobUnknown), "%s, push first %v, operation %d: %v", name,
			pushFirst, n, pushed)
		_, err := s.StatManifest(t.Context(), "r", byTag("v1"), nil)
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		return true
	}
	if removed != nil {
		require.True(t, errors.Is(removed, registry.ErrDenied), "%s, push first %v, operation %d: %v", name, pushFirst, n,
			removed)
	}
	m, err := s.GetManifest(t.Context(), "r", byTag("v1"))
	require.NoError(t, err, "%s, push first %v, operation %d, delete %v", name, pushFirst, n, removed)
	require.Equal(t, k.index, m.Content)
	_, err = s.GetManifest(t.Context(), "r", byDigest(k.child.Digest))
	require.NoError(t, err, "%s, push first %v, operation %d, delete %v", name, pushFirst, n, removed)
	_, err = readBlob(t.Context(), s, "r", k.config.Digest)
	require.NoError(t, err, "%s, push first %v, operation %d, delete %v", name, pushFirst, n, removed)
	return true
}

// TestKeepBelowIndexWithWrongMediaTypes checks that a kept tag protects the children of an index
// whatever media types the index states for them.
func TestKeepBelowIndexWithWrongMediaTypes(t *testing.T) {
	for name, opts := range map[string]*storage.Options{"dense": nil, "sparse": {Sparse: true}} {
		t.Run(name, func(t *testing.T) {
			driver := newMemory(t)
			s := newStore(t, driver, opts)
			leaf := putImage(t, s, "r", image("leaf", nil, pushBlob(t, s, "r", []byte("{}"))), nil)
			inner := index(t, leaf)
			lie := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(inner),
				Size: int64(len(inner))}
			push := func(s *storage.Store) {
				_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageIndex, index(t, lie),
					&registry.PutOptions{Tags: []registry.TagPut{{Name: "v1", IfAbsent: true, Keep: true}}})
				require.NoError(t, err)
			}
			if opts != nil {
				push(s) // before its child
			}
			putIndex(t, s, "r", nil, leaf)
			// The other Store writes old content again.
			for _, s := range []*storage.Store{s, newStore(t, driver, &storage.Options{Grace: 1})} {
				push(s)
				require.ErrorIs(t, s.DeleteManifest(t.Context(), "r", byDigest(leaf.Digest), keepAll), registry.ErrDenied)
			}
		})
	}
}

// TestRefusedDeleteLeavesNoMark checks that a refused delete leaves manifests and links
// unchanged.
func TestRefusedDeleteLeavesNoMark(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	k := newKeepScene(t, s)
	require.NoError(t, k.push(t, s))
	require.ErrorIs(t, s.DeleteManifest(t.Context(), "r", byDigest(k.child.Digest), keepAll), registry.ErrDenied)
	require.ErrorIs(t, s.DeleteBlob(t.Context(), "r", k.config.Digest, keepAll), registry.ErrDenied)
	require.ErrorIs(t, s.DeleteRepository(t.Context(), "r", keepAll), registry.ErrDenied)
	for _, key := range append(keys(t, driver, "r/r/m/"), keys(t, driver, "r/r/b/")...) {
		r, _, err := driver.Open(t.Context(), key, nil)
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		require.NoError(t, errors.Join(err, r.Close()))
		content := string(b)
		require.NotContains(t, content, `"deleting"`)
		require.NotContains(t, content, `"condemned"`)
	}
}

// TestRefusedPushSetsNoTag checks that a push that is refused because of one of its tags sets
// none of them, and that the history records what happened.
func TestRefusedPushSetsNoTag(t *testing.T) {
	s := newStore(t, newMemory(t), withHistory)
	config := pushBlob(t, s, "r", []byte("{}"))
	one := putImage(t, s, "r", image("one", nil, config), tags("v1", "moving"))
	opts := &registry.PutOptions{}
	for _, tag := range []string{"a", "moving", "v1", "z"} {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag, IfAbsent: tag != "moving", Keep: tag != "moving"})
	}
	for range 20 {
		_, err := s.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, image("two", nil, config), opts)
		require.ErrorIs(t, err, registry.ErrTagExists)
		require.Equal(t, []string{"moving", "v1"}, collect(t, s.Tags(t.Context(), "r", nil)))
		for _, tag := range []string{"moving", "v1"} {
			m, err := s.GetManifest(t.Context(), "r", byTag(tag))
			require.NoError(t, err)
			require.Equal(t, one.Digest, m.Descriptor.Digest)
		}
		for _, tag := range []string{"a", "z"} {
			events := collect(t, s.History(t.Context(), "r", &registry.HistoryOptions{Tag: tag}))
			require.True(t, len(events) == 0 || events[0].Change == registry.ChangeUntag && !events[0].Unconfirmed, "%v", events)
		}
	}
}
