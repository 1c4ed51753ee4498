package storage_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// honest demands that the history explains what every tag points at. Starting without a tag,
// each event follows from the one before it. An unconfirmed event may have happened or not.
func honest(t *testing.T, s *storage.Store, at string) {
	for _, repo := range []string{"a/b", "c"} {
		events := collect(t, s.History(t.Context(), repo, nil))
		slices.Reverse(events)
		for _, tag := range []string{"v1", "latest", "sig", "v3", "again"} {
			may := []digest.Digest{""}
			for _, e := range events {
				var before, after digest.Digest
				switch {
				case e.Tag == tag, slices.Contains(e.Tags, tag):
					if e.Before != nil {
						before = e.Before.Digest
					}
					if e.After != nil {
						after = e.After.Digest
					}
				default:
					continue
				}
				require.Contains(t, may, before, "%s: %s:%s, event %s", at, repo, tag, e.ID)
				if e.Unconfirmed {
					may = []digest.Digest{before, after}
				} else {
					may = []digest.Digest{after}
				}
			}
			now, err := s.StatManifest(t.Context(), repo, byTag(tag), nil)
			if err != nil {
				require.ErrorIs(t, err, registry.ErrManifestUnknown, at)
			}
			require.Contains(t, may, now.Digest, "%s: %s:%s", at, repo, tag)
		}
	}
}

// TestHistoryAfterEachFailureIsTrue runs the script of TestCrashAfterEachWrite with a history.
// After a kill, a failed write, a lost response and a loss of power, the history lists all that
// happened, and says of an event if it may not have happened.
func TestHistoryAfterEachFailureIsTrue(t *testing.T) {
	for name, fail := range map[string]func(f *drivertest.Faulty, n int){
		"kill":          (*drivertest.Faulty).CutAfter,
		"not done":      (*drivertest.Faulty).FailWrite,
		"response lost": (*drivertest.Faulty).LoseResponse,
		"power loss":    (*drivertest.Faulty).CutAfter,
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n++ {
				power := drivertest.NewPower(newMemory(t))
				newStore(t, power, nil)
				faulty := drivertest.NewFaulty(power, nil)
				w := newWorkload(t.Context(), newStore(t, faulty, withHistory))
				before := faulty.Writes()
				fail(faulty, n)
				err := w.run()
				faulty.Heal()
				again := newStore(t, power, withHistory)
				if name == "power loss" {
					left := newMemory(t)
					for key, b := range power.After() {
						_, err := left.Put(t.Context(), key, bytes.NewReader(b), nil)
						require.NoError(t, err)
					}
					again, w.uploads = newStore(t, left, withHistory), nil
				}
				at := fmt.Sprintf("write %d", n)
				w.check(t, again, at)
				honest(t, again, at)
				w2 := newWorkload(t.Context(), again)
				require.NoError(t, w2.run(), at)
				w2.check(t, again, at+", again")
				honest(t, again, at+", again")
				if err == nil && faulty.Writes()-before < n {
					t.Logf("%d writes", n-1)
					return
				}
			}
		})
	}
}

// TestRestoreAfterInterruptedRepositoryDelete checks that what an interrupted delete has removed
// is restored together with what the next delete removes.
func TestRestoreAfterInterruptedRepositoryDelete(t *testing.T) {
	for n := 0; ; n++ {
		driver := newMemory(t)
		faulty := drivertest.NewFaulty(driver, nil)
		s := newStore(t, faulty, withHistory)
		config, large := pushBlob(t, s, "r", []byte("{}")), pushBlob(t, s, "r", random(1, 50_000))
		one := image("one", nil, config, large)
		putImage(t, s, "r", one, tags("v1"))
		putImage(t, s, "r", image("two", nil, config), tags("v2"))
		faulty.CutAfter(n)
		err := s.DeleteRepository(t.Context(), "r", nil)
		again := newStore(t, driver, withHistory)
		if faulty.Cut() {
			if err := again.DeleteRepository(t.Context(), "r", nil); err != nil { // the first delete had finished
				require.ErrorIs(t, err, registry.ErrNameUnknown, "%d", n)
			}
		} else {
			require.NoError(t, err)
		}
		require.Empty(t, collect(t, again.Repositories(t.Context(), nil)))
		res, err := again.Restore(t.Context(), "r", reference.Ref{}, nil)
		require.NoError(t, err, "%d", n)
		require.Empty(t, res.Lost)
		require.Equal(t, []string{"v1", "v2"}, collect(t, again.Tags(t.Context(), "r", nil)), "%d", n)
		m, err := again.GetManifest(t.Context(), "r", byTag("v1"))
		require.NoError(t, err)
		require.Equal(t, one, m.Content)
		got, err := readBlob(t.Context(), again, "r", large.Digest)
		require.NoError(t, err)
		require.Equal(t, random(1, 50_000), got)
		if !faulty.Cut() {
			require.Greater(t, n, 10)
			return
		}
	}
}

// TestHistoryExpiredIsHidden checks that an expired event is neither listed nor restored, even
// before it is removed.
func TestHistoryExpiredIsHidden(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, withHistory)
	config := pushBlob(t, s, "r", []byte("{}"))
	desc := putImage(t, s, "r", image("", nil, config), tags("v1"))
	require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil))
	require.Len(t, collect(t, s.History(t.Context(), "r", nil)), 2)
	n, err := s.ExpireHistory(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)

	short := newStore(t, driver, &storage.Options{History: time.Nanosecond})
	require.Empty(t, collect(t, short.History(t.Context(), "r", nil)))
	_, err = short.Restore(t.Context(), "r", byDigest(desc.Digest), nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	n, err = short.ExpireHistory(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Empty(t, keys(t, driver, "h/"))

	_, err = storage.New(t.Context(), driver, &storage.Options{History: -1})
	require.Error(t, err)
}

// TestHistoryOffWritesNothing checks that a Store without a history writes no event, and reports
// that it has no history.
func TestHistoryOffWritesNothing(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	w := newWorkload(t.Context(), s)
	require.NoError(t, w.run())
	require.Empty(t, keys(t, driver, "h/"))
	_, err := s.Restore(t.Context(), "a/b", byTag("latest"), nil)
	require.ErrorIs(t, err, registry.ErrUnsupported)
}

// TestRestoreDataMarkedByCollect checks that a deleted repository can be restored although a
// collection has marked its data. A collection leaves the mark if it finds later that the data
// are named.
func TestRestoreDataMarkedByCollect(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, withHistory)
	layer := pushBlob(t, s, "r", random(1, 40_000))
	putImage(t, s, "r", image("", nil, layer), tags("v1"))
	_, err := driver.Put(t.Context(), strings.Replace(keys(t, driver, "data/")[0], "data/", "dead/", 1), nil, nil)
	require.NoError(t, err)
	require.NoError(t, s.DeleteRepository(t.Context(), "r", nil))
	_, err = s.Restore(t.Context(), "r", reference.Ref{}, nil)
	require.NoError(t, err)
	_, err = s.Collect(t.Context(), noGrace)
	require.NoError(t, err)
	got, err := readBlob(t.Context(), s, "r", layer.Digest)
	require.NoError(t, err)
	require.Equal(t, random(1, 40_000), got)
}

// TestCollectKeepsReferrersOfRestorableManifest checks that the referrers of a manifest are kept
// while it can be restored, so that an image returns with its signatures. They are removed when
// its event expires.
func TestCollectKeepsReferrersOfRestorableManifest(t *testing.T) {
	untagged := &storage.CollectOptions{Grace: -1, Untagged: true}
	driver := newMemory(t)
	s := newStore(t, driver, withHistory)
	config := pushBlob(t, s, "r", []byte("{}"))
	subject := putImage(t, s, "r", image("subject", nil, config), tags("v1"))
	signature := putImage(t, s, "r", image("signature", &subject, config), nil)
	below := putImage(t, s, "r", image("of the signature", &signature, config), nil)
	require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(subject.Digest), nil))
	require.Zero(t, collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true, DryRun: true}).Untagged)
	for range 3 {
		require.Zero(t, collected(t, s, untagged).Untagged)
	}
	_, err := s.Restore(t.Context(), "r", byDigest(subject.Digest), nil)
	require.NoError(t, err)
	for subject, want := range map[digest.Digest]digest.Digest{subject.Digest: signature.Digest,
		signature.Digest: below.Digest} {
		found := collect(t, s.Referrers(t.Context(), "r", subject, nil))
		require.Len(t, found, 1)
		require.Equal(t, want, found[0].Digest)
	}
	require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(subject.Digest), nil))
	short := newStore(t, driver, &storage.Options{History: time.Nanosecond})
	_, err = short.ExpireHistory(t.Context())
	require.NoError(t, err)
	for range 3 {
		collected(t, short, untagged)
	}
	require.Empty(t, keys(t, driver, "r/"))
}

// TestHistoryListReadsNoManifests checks that a page of deleted manifests costs no more than
// what it lists.
func TestHistoryListReadsNoManifests(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		const n, size = 20, 512 << 10
		s := newStore(t, d, &storage.Options{History: time.Hour})
		config := pushBlob(t, s, "r", []byte("{}"))
		for i := range n {
			desc := putImage(t, s, "r", image(fmt.Sprint(i, strings.Repeat("x", size)), nil, config), tags("v1"))
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil))
		}
		for _, opts := range []*registry.HistoryOptions{nil, {Tag: "v1"}} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			entries := collect(t, s.History(t.Context(), "r", opts))
			runtime.ReadMemStats(&after)
			require.Len(t, entries, 2*n)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(n*size/2))
		}
		_, err := s.Restore(t.Context(), "r", reference.Ref{Tag: "v1"}, nil)
		require.NoError(t, err)
	})
}

// TestHistoryOmitsTruncatedEvents checks that an event whose manifest is truncated is not
// listed.
func TestHistoryOmitsTruncatedEvents(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, &storage.Options{History: time.Hour})
	config := pushBlob(t, s, "r", []byte("{}"))
	desc := putImage(t, s, "r", image("1", nil, config), nil)
	require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(desc.Digest), nil))
	require.Len(t, collect(t, s.History(t.Context(), "r", nil)), 1)
	key := keys(t, d, "h/")[0]
	r, info, err := d.Open(t.Context(), key, nil)
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	for _, length := range []int64{info.Size - 1, info.Size - desc.Size, 10, 0} {
		_, err = d.Put(t.Context(), key, bytes.NewReader(b[:length]), nil)
		require.NoError(t, err)
		require.Empty(t, collect(t, s.History(t.Context(), "r", nil)))
	}
}
