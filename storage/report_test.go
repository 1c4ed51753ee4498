package storage_test

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestPushReportsMoveAfterLostResponse loses the response of each write of a push that moves a tag,
// in turn. Before the write is repeated, another push of the same tag may leave its pending move
// there. A push that succeeds reports where the tag pointed before.
func TestPushReportsMoveAfterLostResponse(t *testing.T) {
	for name, options := range map[string]func(from digest.Digest) *registry.PutOptions{
		"plain": func(digest.Digest) *registry.PutOptions { return tags("t") },
		"conditional": func(from digest.Digest) *registry.PutOptions {
			opts := tags("t")
			opts.Tags[0].If = &registry.Condition{Match: []digest.Digest{from}}
			return opts
		},
	} {
		for _, busy := range []bool{false, true} {
			lost, moved := true, 0
			for n := 1; lost; n++ {
				d := newMemory(t)
				other := newStore(t, d, nil)
				m := newMovingTag(t, other)
				config := pushBlob(t, other, "r", []byte("{}"))
				writes := 0
				lost = false
				r := &resent{Driver: d, which: func(string, string) bool {
					writes++
					return writes == n
				}, between: func() {
					lost = true
					content := image("other", nil, config)
					for i := 1; busy && !strings.Contains(contentOf(t, d, "r/r/t/t"), string(digest.FromBytes(content))); i++ {
						faulty := drivertest.NewFaulty(d, nil)
						dying := newStore(t, faulty, nil)
						faulty.CutAfter(i)
						_, err := dying.PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, content, tags("t"))
						assert.Error(t, err, "it dies at the latest with its pending move")
					}
				}}
				res, err := newStore(t, r, nil).PutManifest(t.Context(), "r", ocispec.MediaTypeImageManifest, m.content,
					options(m.from))
				if err != nil {
					require.ErrorIs(t, err, registry.ErrUnavailable, "%s, write %d", name, n)
					continue
				}
				require.Len(t, res.Moved, 1, "%s, busy %v, write %d", name, busy, n)
				require.Equal(t, "t", res.Moved[0].Tag)
				require.Equal(t, m.from, res.Moved[0].Previous.Digest)
				moved++
			}
			require.Greater(t, moved, 2, name)
		}
	}
}

// TestDeleteReportsTagsOfAllAttempts: a delete that must start again, because a tag has moved in
// the meantime, reports the tags that it has removed in all attempts, and not the one that has
// moved.
func TestDeleteReportsTagsOfAllAttempts(t *testing.T) {
	again := 0
	for n := 1; ; n++ {
		var image1, image2 []byte
		var reported []string
		calls := 0
		_, nested := nest(t, n, func(s *storage.Store) {
			config := pushBlob(t, s, "r", []byte("{}"))
			image1, image2 = image("one", nil, config), image("two", nil, config)
			putImage(t, s, "r", image1, tags("a", "b", "c", "moved"))
			putImage(t, s, "r", image2, nil)
		}, func(s *storage.Store) {
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(image1)),
				&registry.DeleteOptions{Deleted: func(target ocispec.Descriptor, tags []string) {
					calls++
					reported = tags
					require.EqualValues(t, len(image1), target.Size)
				}}))
		}, func(s *storage.Store) {
			putImage(t, s, "r", image2, tags("moved"))
		})
		if !nested {
			break
		}
		require.Equal(t, 1, calls, "call %d", n)
		if len(reported) == 3 {
			again++
			require.Equal(t, []string{"a", "b", "c"}, reported, "call %d", n)
		} else {
			require.Equal(t, []string{"a", "b", "c", "moved"}, reported, "call %d", n)
		}
	}
	require.Greater(t, again, 5)
}

// TestDeleteRepositoryReportsNothing: a repository has no descriptor, and its manifests are not
// reported one by one, whether the delete finishes itself or a collection finishes it.
func TestDeleteRepositoryReportsNothing(t *testing.T) {
	s := newStore(t, newMemory(t), &storage.Options{History: time.Hour})
	putImage(t, s, "r", image("x", nil, pushBlob(t, s, "r", []byte("{}"))), tags("a", "b"))
	require.NoError(t, s.DeleteRepository(t.Context(), "r", &registry.DeleteOptions{
		Deleted: func(ocispec.Descriptor, []string) { t.Error("called") },
	}))
}
