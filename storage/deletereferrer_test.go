package storage_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// TestDeleteReferrerBesidePushOfSubject deletes a referrer before each call of a collection, and
// pushes its subject. It also collects before each call of a delete, and pushes the subject
// before each call of that collection. The deleted referrer stays deleted, and the other one
// stays if it existed.
func TestDeleteReferrerBesidePushOfSubject(t *testing.T) {
	for _, opts := range []*storage.Options{nil, withHistory} {
		remove := func(s *storage.Store, r *referrers) error {
			return s.DeleteManifest(t.Context(), "r", byDigest(digest.FromBytes(r.refer[0])), nil)
		}
		check := func(r *referrers, other bool, at ...any) {
			t.Helper()
			for range 2 {
				there := r.there(at...)
				require.False(t, there[0], at...)
				require.True(t, there[1] || !other, at...)
				require.Len(t, collect(t, r.store.Referrers(t.Context(), "r", r.of.Digest, nil)), count(there), at...)
				collected(t, r.store, untagged)
			}
		}
		for n := 1; ; n++ {
			r := newReferrers(t, opts)
			other := false
			made := r.collect(n, opts, func() {
				if err := remove(r.store, r); err != nil {
					require.ErrorIs(t, err, registry.ErrManifestUnknown) // collected
				}
				r.push()
				other = r.isThere(1)
			})
			check(r, other, "deleted before call %d", n)
			if made < n {
				break
			}
		}
		for n := 1; ; n++ {
			over := false
			for k := 1; ; k++ {
				r := newReferrers(t, opts)
				other, calls := false, 0
				s, made := r.before(n, opts, func() {
					calls = r.collect(k, opts, func() {
						r.push()
						other = r.isThere(1)
					})
				})
				if err := remove(s, r); err != nil {
					require.ErrorIs(t, err, registry.ErrManifestUnknown) // collected
				}
				check(r, other, "calls %d and %d", n, k)
				if over = *made < n; over || calls < k {
					break
				}
			}
			if over {
				require.Greater(t, n, 5)
				break
			}
		}
	}
}

// TestDeleteReferrerBesideCollect checks that a delete that takes over from a collection stays
// in force. A push of the subject releases the other referrers only.
func TestDeleteReferrerBesideCollect(t *testing.T) {
	for n := 1; ; n++ {
		r := newReferrers(t, nil)
		of, made := digest.FromBytes(r.refer[0]), 0
		s, left := r.along(interruption{on("Put", r.of.Digest), func() {}},
			interruption{func(op, key string) bool { return op == "List" && key == "r/r/m/" }, func() {
				require.Equal(t, [3]string{"deleting", "deleting", "awaited"}, r.states())
				s, calls := r.before(n, nil, r.push)
				require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(of), nil))
				made = *calls
			}})
		collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true, Parallel: 1})
		require.Zero(t, left())
		if made < n {
			require.Greater(t, n, 5)
			return
		}
		for range 2 {
			require.Equal(t, [3]string{"", "ok", "ok"}, r.states(), "before call %d", n)
			require.Len(t, collect(t, r.store.Referrers(t.Context(), "r", r.of.Digest, nil)), 1)
			collected(t, r.store, untagged)
		}
	}
}

// TestPushIndexOfReferrerBesideDelete pushes an index that names a referrer before each call of
// the delete of that referrer in turn. A referrer that stays has its entry.
func TestPushIndexOfReferrerBesideDelete(t *testing.T) {
	stayed := 0
	for n := 1; ; n++ {
		r := newReferrers(t, nil)
		r.push()
		d := digest.FromBytes(r.refer[0])
		var err error
		s, made := r.before(n, nil, func() {
			child := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(r.refer[0]))}
			_, err = newStore(t, r.driver, nil).PutManifest(t.Context(), "r", ocispec.MediaTypeImageIndex, index(t, child),
				tags("index"))
		})
		require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(d), nil))
		if *made < n {
			require.Positive(t, stayed)
			return
		}
		if err != nil {
			require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
		}
		if r.isThere(0, n) {
			stayed++
		}
	}
}
