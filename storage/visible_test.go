package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// seen returns what Visible yields, as "repository:tag name" or "repository@ name", with the name
// that the digest has in names.
func seen(t *testing.T, s *storage.Store, since time.Time, names map[digest.Digest]string) []string {
	t.Helper()
	all := []string{}
	for _, v := range collect(t, s.Visible(t.Context(), since)) {
		require.False(t, v.Time.Before(since))
		require.NotZero(t, v.Target.Size)
		require.Equal(t, ocispec.MediaTypeImageManifest, v.Target.MediaType)
		require.Equal(t, ocispec.MediaTypeImageConfig, v.Target.ArtifactType)
		sign := "@"
		if v.Tag != "" {
			sign = ":" + v.Tag
		}
		all = append(all, v.Repository+sign+" "+names[v.Target.Digest])
	}
	return all
}

// TestVisibleYieldsWhatClientsSee: hidden, pending and refused manifests are left out, and so are
// pending moves and tags that lead nowhere.
func TestVisibleYieldsWhatClientsSee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory(t)
		s := newStore(t, d, &storage.Options{Grace: -1, History: time.Hour})
		names := map[digest.Digest]string{}
		push := func(repo, name string, s *storage.Store, set ...string) (digest.Digest, error) {
			config := pushBlob(t, s, repo, []byte("{}"))
			config.MediaType = ocispec.MediaTypeImageConfig
			content := image(name, nil, config)
			names[digest.FromBytes(content)] = name
			_, err := s.PutManifest(t.Context(), repo, ocispec.MediaTypeImageManifest, content, tags(set...))
			return digest.FromBytes(content), err
		}
		put := func(repo, name string, set ...string) digest.Digest {
			t.Helper()
			d, err := push(repo, name, s, set...)
			require.NoError(t, err)
			time.Sleep(time.Minute)
			return d
		}
		require.Empty(t, seen(t, s, time.Time{}, names))

		put("b/c", "one", "t", "u")
		deleted := put("b/c", "two", "v")
		gone := put("b/c", "three", "w", "x")
		put("b", "four")
		put("z", "five", "t")
		require.NoError(t, s.DeleteManifest(t.Context(), "b/c", byDigest(deleted), nil))
		require.NoError(t, s.DeleteManifest(t.Context(), "b/c", byTag("w"), nil))
		require.NoError(t, s.DeleteRepository(t.Context(), "z", nil))
		all := []string{"b/c@ one", "b/c@ three", "b/c:t one", "b/c:u one", "b/c:x three", "b@ four"}
		require.ElementsMatch(t, all, seen(t, s, time.Time{}, names))

		// A tag whose manifest is gone, as after a crash.
		require.NoError(t, d.Delete(t.Context(), "r/b.~c/m/"+pathOf(gone), ""))
		all = []string{"b/c@ one", "b/c:t one", "b/c:u one", "b@ four"}
		require.ElementsMatch(t, all, seen(t, s, time.Time{}, names))

		// A refused manifest leaves a record, since there is no grace period.
		_, err := s.PutManifest(t.Context(), "b", ocispec.MediaTypeImageManifest,
			image("refused", nil, missingLayer, missingLayer), tags("t"))
		require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
		require.Len(t, keys(t, d, "r/b/m/"), 2)
		require.ElementsMatch(t, all, seen(t, s, time.Time{}, names))

		// An interrupted push leaves a pending manifest and, later, a pending move.
		start := time.Now()
		pending := false
		for n := 1; !strings.Contains(contentOf(t, d, "r/b.~c/t/t"), "next"); n++ {
			faulty := drivertest.NewFaulty(d, nil)
			dying := newStore(t, faulty, &storage.Options{Grace: -1})
			pushBlob(t, s, "b/c", []byte("{}"))
			faulty.CutAfter(n)
			config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("{}"), Size: 2}
			content := image("interrupted", nil, config)
			names[digest.FromBytes(content)] = "interrupted"
			_, err := dying.PutManifest(t.Context(), "b/c", ocispec.MediaTypeImageManifest, content, tags("t"))
			require.Error(t, err)
			_, err = s.StatManifest(t.Context(), "b/c", byDigest(digest.FromBytes(content)), nil)
			if err != nil {
				pending = pending || len(keys(t, d, "r/b.~c/m/")) == 2
				require.ElementsMatch(t, all, seen(t, s, time.Time{}, names), "write %d", n)
			} else {
				require.ElementsMatch(t, append([]string{"b/c@ interrupted"}, all...), seen(t, s, time.Time{}, names))
			}
		}
		require.True(t, pending)
		require.ElementsMatch(t, []string{"b/c@ interrupted", "b/c:t one"}, seen(t, s, start, names),
			"the move of the tag is pending, so the tag was written, and points where it did")
	})
}

// TestVisibleYieldsSince: only what was written since is read, in pages, and the number of requests
// is the stated one.
func TestVisibleYieldsSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory(t)
		s := newStore(t, d, nil)
		names := map[digest.Digest]string{}
		put := func(repo string, i int) {
			config := pushBlob(t, s, repo, []byte("{}"))
			config.MediaType = ocispec.MediaTypeImageConfig
			name := fmt.Sprint("m", i)
			names[putImage(t, s, repo, image(name, nil, config), tags(name, "latest")).Digest] = name
		}
		const repos, old = 7, 5
		for r := range repos {
			for i := range old {
				put(fmt.Sprint("r", r), i)
			}
		}
		time.Sleep(time.Hour)
		since := time.Now().Add(300 * time.Millisecond) // some storages keep no fractions of a second
		put("r3", 9)
		put("r5", 8)
		want := []string{
			"r3@ m9", "r3:latest m9", "r3:m9 m9",
			"r5@ m8", "r5:latest m8", "r5:m8 m8",
		}
		counting := drivertest.NewFaulty(d, nil)
		s = newStore(t, counting, nil)
		opened := counting.Count("Open")
		var got []string
		for v, err := range s.Visible(t.Context(), since) {
			require.NoError(t, err)
			got = append(got, strings.TrimSuffix(v.Repository+"@:"+v.Tag, "@:"))
		}
		require.Len(t, got, len(want))
		require.Equal(t, 3*repos+1, counting.Count("List"))
		require.Equal(t, 2*1+4*2, counting.Count("Open")-opened)
		require.Equal(t, want, seen(t, s, since.Truncate(time.Second), names))
		require.Len(t, seen(t, s, time.Time{}, names), repos*(2*old+1)+4)
		require.Empty(t, seen(t, s, since.Add(time.Hour), names))
	})
}

// TestVisibleFindsRepositoryThatCatalogLacks: a push may die after its manifest is visible and
// before the repository is in the catalog.
func TestVisibleFindsRepositoryThatCatalogLacks(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, nil)
	putImage(t, s, "a/b", image("x", nil, pushBlob(t, s, "a/b", []byte("{}"))), nil)
	require.NoError(t, d.Delete(t.Context(), "c/a.~b", ""))
	require.Empty(t, collect(t, s.Repositories(t.Context(), nil)))
	require.Len(t, collect(t, s.Visible(t.Context(), time.Time{})), 1)
}

// TestVisibleStops: an error of the storage ends the iteration and is yielded, and so does the
// caller.
func TestVisibleStops(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, nil)
	putImage(t, s, "a", image("x", nil, pushBlob(t, s, "a", []byte("{}"))), tags("t", "u"))
	for n := 1; n < 4; n++ {
		got := 0
		for _, err := range s.Visible(t.Context(), time.Time{}) {
			require.NoError(t, err)
			if got++; got == n {
				break
			}
		}
		require.Equal(t, n, got)
	}
	broken := errors.New("broken")
	for _, op := range []string{"List", "Open"} {
		failed := 0
		for n := 1; ; n++ {
			calls, hit := 0, false
			faulty := newStore(t, drivertest.NewFaulty(d, &drivertest.FaultyOptions{
				Before: func(_ context.Context, c drivertest.Call) error {
					if c.Op == op && strings.HasPrefix(c.Key, "r/") {
						if calls++; calls == n {
							hit = true
							return broken
						}
					}
					return nil
				},
			}), nil)
			var last error
			for v, err := range faulty.Visible(t.Context(), time.Time{}) {
				require.NoError(t, last, "nothing follows an error")
				if last = err; err != nil {
					require.Equal(t, notification.Visible{}, v)
				}
			}
			if !hit {
				break
			}
			require.ErrorIs(t, last, broken)
			failed++
		}
		require.GreaterOrEqual(t, failed, 3, op)
	}
}
