package storage_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// typed returns an artifact manifest of a type.
func typed(artifactType, annotation string, subject, config ocispec.Descriptor) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,`+
		`"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[],`+
		`"subject":{"mediaType":%q,"digest":%q,"size":%d},"annotations":{"a":%q}}`,
		ocispec.MediaTypeImageManifest, artifactType,
		ocispec.MediaTypeEmptyJSON, config.Digest, config.Size,
		subject.MediaType, subject.Digest, subject.Size, annotation)
}

// typedReferrers pushes n referrers of one subject to the repository r, of the types a/0, a/1 and
// a/2 in turn.
func typedReferrers(t *testing.T, s *storage.Store, n int) (subject ocispec.Descriptor, pushed []ocispec.Descriptor) {
	config := pushBlob(t, s, "r", []byte("{}"))
	subject = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("s"), Size: 1}
	for i := range n {
		artifactType := fmt.Sprint("a/", i%3)
		desc := putImage(t, s, "r", typed(artifactType, fmt.Sprint(i), subject, config), nil)
		desc.ArtifactType = artifactType
		pushed = append(pushed, desc)
	}
	slices.SortFunc(pushed, func(a, b ocispec.Descriptor) int {
		return strings.Compare(string(a.Digest),
			string(b.Digest))
	})
	return subject, pushed
}

// countReads returns a Store with empty caches, and the number of entries of referrers that it
// has opened.
func countReads(t *testing.T, d driver.Driver) (*storage.Store, *atomic.Int64) {
	var reads atomic.Int64
	s := newStore(t, drivertest.NewFaulty(d,
		&drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
			if c.Op == "Open" && strings.Contains(c.Key, "/f/") {
				reads.Add(1)
			}
			return nil
		}}), nil)
	return s, &reads
}

// checkFilters checks what each filter yields. It returns the number of entries that were read
// although the filter excludes them.
func checkFilters(t *testing.T, d driver.Driver, subject ocispec.Descriptor,
	pushed []ocispec.Descriptor) (superfluous int) {
	t.Helper()
	for _, types := range [][]string{{"a/0"}, {"a/1", "a/2"}, {"a/3"}, {"a/2", "a/0", "a/1"}} {
		for _, after := range []int{-1, 0, 5, len(pushed) - 1} {
			opts := &registry.ReferrersOptions{ArtifactTypes: types}
			if after >= 0 {
				opts.After = pushed[after].Digest
			}
			var want, got []digest.Digest
			for _, desc := range pushed[after+1:] {
				if slices.Contains(types, desc.ArtifactType) {
					want = append(want, desc.Digest)
				}
			}
			s, reads := countReads(t, d)
			for _, desc := range collect(t, s.Referrers(t.Context(), "r", subject.Digest, opts)) {
				got = append(got, desc.Digest)
			}
			require.Equal(t, want, got, "%q after %d", types, after)
			superfluous += int(reads.Load()) - len(want)
		}
	}
	return superfluous
}

func TestReferrersFilterReadsOnlyWhatItYields(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		subject, pushed := typedReferrers(t, s, 70)
		require.Zero(t, checkFilters(t, d, subject, pushed))
		require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(pushed[3].Digest), nil))
		require.Zero(t, checkFilters(t, d, subject, slices.Delete(slices.Clone(pushed), 3, 4)))
		require.Len(t, keys(t, d, "r/r/a/"), 69)
	})
}

// TestReferrersFilterWithoutHintsFindsAll checks entries that an older version wrote without
// hints. A collection writes the hints, and the next one removes those of referrers that an
// older version has deleted.
func TestReferrersFilterWithoutHintsFindsAll(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		subject, pushed := typedReferrers(t, s, 30)
		hints := keys(t, d, "r/r/a/")
		require.Len(t, hints, len(pushed))
		for i, key := range hints {
			if i%2 == 0 {
				require.NoError(t, d.Delete(t.Context(), key, ""))
			}
		}
		require.Positive(t, checkFilters(t, d, subject, pushed))
		collected(t, s, &storage.CollectOptions{Grace: -1, DryRun: true})
		require.Len(t, keys(t, d, "r/r/a/"), 15)
		collected(t, s, noGrace)
		require.Equal(t, hints, keys(t, d, "r/r/a/"))
		require.Zero(t, checkFilters(t, d, subject, pushed))

		gone := pushed[0].Digest
		for _, key := range slices.Concat(keys(t, d, "r/r/m/"), keys(t, d, "r/r/f/")) {
			if strings.HasSuffix(key, gone.Encoded()) {
				require.NoError(t, d.Delete(t.Context(), key, ""))
			}
		}
		require.Zero(t, checkFilters(t, d, subject, pushed[1:]))
		collected(t, s, noGrace)
		require.NotContains(t, strings.Join(keys(t, d, "r/r/a/"), " "), gone.Encoded())
		require.NoError(t, s.DeleteRepository(t.Context(), "r", nil))
		require.Empty(t, keys(t, d, "r/r/a/"))
	})
}

func TestReferrers(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "r", []byte("{}"))
		subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("s"), Size: 1}
		require.Empty(t, collect(t, s.Referrers(ctx, "r", subject.Digest, nil)))
		var want []digest.Digest
		for i := range 150 {
			want = append(want, putImage(t, s, "r", image(fmt.Sprint(i), &subject, config), nil).Digest)
		}
		all := collect(t, s.Referrers(ctx, "r", subject.Digest, nil))
		var got []digest.Digest
		for _, desc := range all {
			got = append(got, desc.Digest)
			require.NotEmpty(t, desc.Annotations["a"])
		}
		require.ElementsMatch(t, want, got)
		require.IsIncreasing(t, got)
		rest := collect(t, s.Referrers(ctx, "r", subject.Digest, &registry.ReferrersOptions{After: got[99]}))
		require.Equal(t, all[100:], rest)
		require.Empty(t, collect(t, s.Referrers(ctx, "r", subject.Digest,
			&registry.ReferrersOptions{ArtifactTypes: []string{"none/such"}})))
		require.NoError(t, s.DeleteManifest(ctx, "r", byDigest(got[0]), nil))
		require.Len(t, collect(t, s.Referrers(ctx, "r", subject.Digest, nil)), 149)
	})
}

// TestReferrersLargeEntriesBoundMemory checks that reading the first of many large entries does
// not read all of them.
func TestReferrersLargeEntriesBoundMemory(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		const n, size = 64, 256 << 10
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "r", []byte("{}"))
		subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("s"), Size: 1}
		for i := range n {
			putImage(t, s, "r", image(fmt.Sprint(i, strings.Repeat("x", size)), &subject, config), nil)
		}
		s = newStore(t, d, nil) // with empty caches
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, err := range s.Referrers(t.Context(), "r", subject.Digest, nil) {
			require.NoError(t, err)
			break
		}
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(n*size))
		require.Len(t, collect(t, s.Referrers(t.Context(), "r", subject.Digest, nil)), n)
	})
}

// TestReferrersBelongToTheCaller changes the annotations that a list yields. The next list has them
// unchanged, whether or not the entries were in the cache. With Shared, the lists have the same
// annotations.
func TestReferrersBelongToTheCaller(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		subject, pushed := typedReferrers(t, s, 5)
		s = newStore(t, d, nil) // with empty caches
		for range 3 {
			for i, desc := range collect(t, s.Referrers(t.Context(), "r", subject.Digest, nil)) {
				require.Equal(t, pushed[i].Digest, desc.Digest)
				require.NotContains(t, desc.Annotations, "b")
				desc.Annotations["b"] = "changed"
			}
		}
		shared := &registry.ReferrersOptions{Shared: true}
		require.Equal(t, collect(t, s.Referrers(t.Context(), "r", subject.Digest, nil)),
			collect(t, s.Referrers(t.Context(), "r", subject.Digest, shared)))
		next, stop := iter.Pull2(s.Referrers(t.Context(), "r", subject.Digest, shared))
		defer stop()
		_, err, ok := next() // a caller that takes one
		require.NoError(t, err)
		require.True(t, ok)
	})
}

// TestReferrersAllocations limits what a list of known referrers allocates for each of them: the key
// and the version of its entry.
func TestReferrersAllocations(t *testing.T) {
	d, err := disk.New(t.TempDir(), &disk.Options{NoSync: true})
	require.NoError(t, err)
	s := newStore(t, d, nil)
	const n = 100
	subject, _ := typedReferrers(t, s, n)
	list := func() {
		require.Len(t, collect(t, s.Referrers(t.Context(), "r", subject.Digest, nil)), n)
	}
	list()
	allocs := testing.AllocsPerRun(20, func() {
		found := 0
		for _, err := range s.Referrers(t.Context(), "r", subject.Digest, &registry.ReferrersOptions{Shared: true}) {
			if err == nil {
				found++
			}
		}
		require.Equal(t, n, found)
	})
	require.LessOrEqual(t, allocs, 2.5*n)
}
