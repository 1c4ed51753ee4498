package storage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// blobOf returns the descriptor of a blob that is not pushed.
func blobOf(content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(content),
		Size: int64(len(content))}
}

// manifestOf returns the descriptor of a manifest that is not pushed.
func manifestOf(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// sparsely returns the options of a sparse push that sets tags.
func sparsely(names ...string) *registry.PutOptions {
	o := tags(names...)
	o.Sparse = true
	return o
}

// requireMissing requires that a push was refused because of exactly these digests.
func requireMissing(t *testing.T, err error, missing ...digest.Digest) {
	t.Helper()
	require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	var e *registry.Error
	require.ErrorAs(t, err, &e)
	require.ElementsMatch(t, missing, e.Detail())
}

// try pushes an image manifest or index.
func try(t *testing.T, s *storage.Store, mediaType string, content []byte, opts *registry.PutOptions) error {
	_, err := s.PutManifest(t.Context(), "r", mediaType, content, opts)
	return err
}

const imageType, indexType = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex

// TestSparsePushIsNoProofForOthers pushes an index and its image sparsely, and then without Sparse
// while their content arrives, in this Store and in another one.
func TestSparsePushIsNoProofForOthers(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s, other := newStore(t, d, nil), newStore(t, d, nil)
		config, layer := random(1, 100), random(2, 50_000)
		img := image("", nil, blobOf(config), blobOf(layer))
		child := manifestOf(imageType, img)
		idx := index(t, child)
		strict := func(mediaType string, content []byte, missing ...digest.Digest) {
			t.Helper()
			for _, s := range []*storage.Store{s, other, newStore(t, d, nil)} {
				for _, opts := range []*registry.PutOptions{nil, tags("strict")} {
					err := try(t, s, mediaType, content, opts)
					if len(missing) > 0 {
						requireMissing(t, err, missing...)
					} else {
						require.NoError(t, err)
					}
				}
			}
		}
		for range 2 {
			require.NoError(t, try(t, s, indexType, idx, sparsely("v1")))
		}
		strict(indexType, idx, child.Digest)
		require.NoError(t, try(t, s, imageType, img, sparsely()))
		strict(indexType, idx, child.Digest) // it is there, but not whole
		strict(imageType, img, blobOf(config).Digest, blobOf(layer).Digest)
		pushBlob(t, s, "r", config)
		strict(imageType, img, blobOf(layer).Digest)
		strict(indexType, idx, child.Digest)
		require.NoError(t, try(t, s, imageType, img, sparsely("v2")), "still sparse")
		strict(imageType, img, blobOf(layer).Digest)
		pushBlob(t, s, "r", layer)
		strict(indexType, idx, child.Digest) // nobody has looked at the image since
		strict(imageType, img)
		strict(indexType, idx)
		require.ElementsMatch(t, []string{"strict", "v1", "v2"}, collect(t, s.Tags(t.Context(), "r", nil)))
		// From now on both count as whole, and a sparse push changes nothing about that.
		require.NoError(t, try(t, s, imageType, img, sparsely()))
		require.NoError(t, try(t, s, indexType, idx, sparsely()))
		strict(indexType, idx)
		// A delete breaks the image. A sparse push accepts that, others do not.
		require.NoError(t, s.DeleteBlob(t.Context(), "r", blobOf(layer).Digest, nil))
		strict(imageType, img, blobOf(layer).Digest)
		require.NoError(t, try(t, s, imageType, img, sparsely()))
		strict(imageType, img, blobOf(layer).Digest)
		pushBlob(t, s, "r", layer)
		strict(imageType, img)
	})
}

// TestSparsePushChecksWhatIsThere checks that a sparse push refuses wrong sizes and media types of
// content that the repository has, and that a push without Sparse checks those of content that has
// arrived since.
func TestSparsePushChecksWhatIsThere(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	config, layer := random(1, 100), random(2, 200)
	wrong := blobOf(config)
	wrong.Size++
	img := image("", nil, wrong, blobOf(layer))
	pushBlob(t, s, "r", config)
	require.ErrorIs(t, try(t, s, imageType, img, sparsely()), registry.ErrManifestInvalid)
	_, err := s.GetManifest(t.Context(), "r", byDigest(digest.FromBytes(img)))
	require.ErrorIs(t, err, registry.ErrManifestUnknown)

	late := blobOf(layer)
	late.Size--
	img = image("", nil, blobOf(config), late)
	require.NoError(t, try(t, s, imageType, img, sparsely()))
	pushBlob(t, s, "r", layer)
	require.ErrorIs(t, try(t, s, imageType, img, nil), registry.ErrManifestInvalid)

	// A child without a mediaType field arrives with another type than the index states.
	plain := []byte(`{"schemaVersion":2,"config":{"mediaType":"x/y","digest":"` + string(blobOf(config).Digest) +
		`","size":100},"layers":[]}`)
	child := manifestOf("application/vnd.docker.distribution.manifest.v2+json", plain)
	child.Size++
	idx := index(t, child)
	require.NoError(t, try(t, s, indexType, idx, sparsely()))
	require.NoError(t, try(t, s, imageType, plain, nil))
	require.ErrorIs(t, try(t, s, indexType, idx, nil), registry.ErrManifestInvalid)
	require.ErrorIs(t, try(t, s, indexType, idx, sparsely()), registry.ErrManifestInvalid)
}

// TestSparseIndexCountsSparseChildren checks that a sparse index is not taken for whole because all
// of its children are there: one of them is sparse.
func TestSparseIndexCountsSparseChildren(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	blob := random(1, 100)
	img := image("", nil, blobOf(blob))
	idx := index(t, manifestOf(imageType, img))
	require.NoError(t, try(t, s, imageType, img, sparsely()))
	require.NoError(t, try(t, s, indexType, idx, sparsely()))
	requireMissing(t, try(t, s, indexType, idx, nil), digest.FromBytes(img))
	outer := index(t, manifestOf(indexType, idx))
	requireMissing(t, try(t, s, indexType, outer, nil), digest.FromBytes(idx))
	pushBlob(t, s, "r", blob)
	for _, m := range []struct {
		mediaType string
		content   []byte
	}{{imageType, img}, {indexType, idx}, {indexType, outer}} {
		require.NoError(t, try(t, s, m.mediaType, m.content, nil))
	}
}

// TestCollectKeepsWhatSparseManifestsName checks that content which arrives after a sparse manifest
// is kept by every collection, as long as the manifest is, and that missing content is no error.
func TestCollectKeepsWhatSparseManifestsName(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, &storage.Options{Grace: -1})
		blob, layer, never := random(1, 100), random(2, 50_000), random(3, 10)
		img := image("", nil, blobOf(blob), blobOf(layer))
		idx := index(t, manifestOf(imageType, img), manifestOf(imageType, image("", nil, blobOf(never))))
		require.NoError(t, try(t, s, indexType, idx, sparsely("v1")))
		collected(t, s, untagged)
		require.NoError(t, try(t, s, imageType, img, sparsely()))
		collected(t, s, untagged)
		pushBlob(t, s, "r", layer)
		collected(t, s, untagged)
		pushBlob(t, s, "r", blob)
		loose := pushBlob(t, s, "r", random(4, 1000))
		collected(t, s, untagged)
		for _, content := range [][]byte{blob, layer} {
			got, err := readBlob(t.Context(), s, "r", digest.FromBytes(content))
			require.NoError(t, err)
			require.Equal(t, content, got)
		}
		_, err := s.StatBlob(t.Context(), "r", loose.Digest, nil)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
		_, err = s.GetManifest(t.Context(), "r", byTag("v1"))
		require.NoError(t, err)
		require.NoError(t, s.DeleteManifest(t.Context(), "r", byTag("v1"), nil))
		for range 3 { // the index, then its image, then the blobs
			collected(t, s, untagged)
		}
		require.Empty(t, keys(t, d, "r/"))
		require.Empty(t, keys(t, d, "data/"))
	})
}

// TestSparseTagIsKept checks that a protected tag of a sparse index protects what arrives later, and
// that the push of such a tag accepts what is missing.
func TestSparseTagIsKept(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	blob, late := random(1, 100), random(2, 100)
	img := image("", nil, blobOf(blob), blobOf(late))
	idx := index(t, manifestOf(imageType, img))
	opts := &registry.PutOptions{Sparse: true, Tags: []registry.TagPut{{Name: "v1", Keep: true}}}
	require.NoError(t, try(t, s, indexType, idx, opts))
	require.NoError(t, try(t, s, imageType, img, sparsely()))
	pushBlob(t, s, "r", blob)
	require.ErrorIs(t, s.DeleteBlob(t.Context(), "r", digest.FromBytes(blob), keepAll), registry.ErrDenied)
	require.ErrorIs(t, s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(img)), keepAll), registry.ErrDenied)
	require.NoError(t, try(t, s, indexType, idx, opts))
	opts.Sparse = false
	requireMissing(t, try(t, s, indexType, idx, opts), digest.FromBytes(img))
}

// TestRestoreOfSparseManifests deletes sparse manifests and the repository, and restores them with
// what is missing, also after a collection.
func TestRestoreOfSparseManifests(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, &storage.Options{History: time.Hour, Grace: -1})
		blob, late := random(1, 100), random(2, 50_000)
		img := image("", nil, blobOf(blob), blobOf(late))
		idx := index(t, manifestOf(imageType, img), manifestOf(imageType, image("none", nil, blobOf(blob))))
		pushBlob(t, s, "r", blob)
		require.NoError(t, try(t, s, imageType, img, sparsely("image")))
		require.NoError(t, try(t, s, indexType, idx, sparsely("index")))
		check := func() {
			t.Helper()
			for tag, want := range map[string][]byte{"image": img, "index": idx} {
				m, err := s.GetManifest(t.Context(), "r", byTag(tag))
				require.NoError(t, err, tag)
				require.Equal(t, want, m.Content)
			}
			requireMissing(t, try(t, s, imageType, img, nil), digest.FromBytes(late))
			got, err := readBlob(t.Context(), s, "r", digest.FromBytes(blob))
			require.NoError(t, err)
			require.Equal(t, blob, got)
		}
		restore := func(content []byte) {
			t.Helper()
			_, err := s.Restore(t.Context(), "r", byDigest(digest.FromBytes(content)), nil)
			require.NoError(t, err)
		}
		for _, c := range [][]byte{idx, img} {
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(c)), nil))
		}
		collected(t, s, untagged)
		restore(img)
		restore(idx)
		check()
		require.NoError(t, s.DeleteRepository(t.Context(), "r", nil))
		collected(t, s, untagged)
		_, err := s.Restore(t.Context(), "r", byTag(""), nil)
		require.NoError(t, err)
		check()
		// The index brings its child back, and a tag returns to a sparse manifest.
		for _, c := range [][]byte{img, idx} {
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(c)), nil))
		}
		restore(idx)
		_, err = s.GetManifest(t.Context(), "r", byDigest(digest.FromBytes(img)))
		require.NoError(t, err)
		whole := image("whole", nil, blobOf(blob))
		require.NoError(t, try(t, s, imageType, whole, tags("index")))
		_, err = s.Restore(t.Context(), "r", byTag("index"), nil)
		require.NoError(t, err)
		require.NoError(t, try(t, s, imageType, img, sparsely("image")))
		check()
		pushBlob(t, s, "r", late)
		restore(img)
		require.NoError(t, try(t, s, imageType, img, nil), "a restore that finds everything is a proof")
	})
}

// TestSparseAndStrictPushesAtOnce lets another writer do its work before each storage operation of a
// push. If a push without Sparse succeeds, its image was whole at some moment of the push; it is
// refused from then on only after a delete.
func TestSparseAndStrictPushesAtOnce(t *testing.T) {
	blob := random(1, 100)
	img := image("", nil, blobOf(blob))
	sparse := func(s *storage.Store) { require.NoError(t, try(t, s, imageType, img, sparsely("s"))) }
	push := func(s *storage.Store) { pushBlob(t, s, "r", blob) }
	remove := func(s *storage.Store) {
		err := s.DeleteBlob(t.Context(), "r", digest.FromBytes(blob), nil)
		require.True(t, err == nil || errors.Is(err, registry.ErrBlobUnknown), "%v", err)
	}
	dropManifest := func(s *storage.Store) {
		err := s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(img)), nil)
		require.True(t, err == nil || errors.Is(err, registry.ErrManifestUnknown), "%v", err)
	}
	collection := func(s *storage.Store) { collected(t, s, untagged) }
	both := func(a, b func(s *storage.Store)) func(s *storage.Store) {
		return func(s *storage.Store) { a(s); b(s) }
	}
	for name, scene := range map[string]struct {
		prepare, inner func(s *storage.Store)
		must           bool // the strict push must succeed
	}{
		"new, sparse push":          {func(*storage.Store) {}, sparse, false},
		"new and whole":             {push, sparse, true},
		"known, sparse push":        {sparse, sparse, false},
		"known and whole":           {both(sparse, push), sparse, true},
		"known, blob comes":         {sparse, push, false},
		"known, blob goes":          {both(sparse, push), remove, false},
		"broken":                    {both(both(push, sparse), remove), sparse, false},
		"blob goes, sparse push":    {push, both(remove, sparse), false},
		"deleted and sparse again":  {both(sparse, push), both(dropManifest, sparse), true},
		"whole, deleted and sparse": {both(push, sparse), both(both(dropManifest, remove), sparse), false},
		"known, collection":         {both(sparse, push), collection, true},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				var err error
				s, nested := nest(t, n, scene.prepare, func(s *storage.Store) {
					err = try(t, s, imageType, img, tags("v1"))
				}, scene.inner)
				if scene.must {
					require.NoError(t, err, "operation %d", n)
				} else if err != nil {
					require.ErrorIs(t, err, registry.ErrManifestBlobUnknown, "operation %d", n)
				}
				_, missing := s.StatBlob(t.Context(), "r", digest.FromBytes(blob), nil)
				again := try(t, s, imageType, img, nil)
				if missing == nil {
					require.NoError(t, again)
				} else {
					require.ErrorIs(t, again, registry.ErrManifestBlobUnknown, "operation %d", n)
				}
				if !nested {
					break
				}
			}
		})
	}
}
