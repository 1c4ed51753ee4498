package storage_test

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// referrers is a storage with two referrers of a manifest that does not exist.
type referrers struct {
	t       *testing.T
	driver  driver.Driver
	store   *storage.Store
	config  ocispec.Descriptor
	subject []byte
	of      ocispec.Descriptor // the subject
	refer   [][]byte
}

func newReferrers(t *testing.T, opts *storage.Options) *referrers {
	r := &referrers{t: t, driver: newMemory(t)}
	r.store = newStore(t, r.driver, opts)
	r.config = pushBlob(t, r.store, "r", []byte("{}"))
	putImage(t, r.store, "r", image("other", nil, r.config), tags("other")) // keeps the config
	r.subject = image("subject", nil, r.config)
	r.of = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(r.subject),
		Size: int64(len(r.subject))}
	for _, name := range []string{"1", "2"} {
		r.refer = append(r.refer, image(name, &r.of, r.config))
		putImage(t, r.store, "r", r.refer[len(r.refer)-1], nil)
	}
	return r
}

// before returns a Store whose driver calls f before call n, counted from when before returns.
// made is the number of calls so far.
func (r *referrers) before(n int, opts *storage.Options, f func()) (s *storage.Store, made *int) {
	made = new(int)
	armed := false
	var mu sync.Mutex
	s = newStore(r.t, drivertest.NewFaulty(r.driver, &drivertest.FaultyOptions{
		Before: func(context.Context, drivertest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			if armed {
				if *made++; *made == n {
					f()
				}
			}
			return nil
		},
	}), opts)
	armed = true
	return s, made
}

// collect collects, one storage call at a time, and calls f before call n. It returns the number
// of calls.
func (r *referrers) collect(n int, opts *storage.Options, f func()) (made int) {
	s, calls := r.before(n, opts, f)
	collected(r.t, s, &storage.CollectOptions{Grace: -1, Untagged: true, Parallel: 1})
	return *calls
}

// push pushes the subject through a Store of its own, as another process would.
func (r *referrers) push() {
	putImage(r.t, newStore(r.t, r.driver, nil), "r", r.subject, tags("v1"))
}

// states returns the states of the two referrers and of their subject. "" means absent.
func (r *referrers) states() (states [3]string) {
	for i, d := range []digest.Digest{digest.FromBytes(r.refer[0]), digest.FromBytes(r.refer[1]), r.of.Digest} {
		body, _, err := r.driver.Open(r.t.Context(), "r/r/m/"+pathOf(d), nil)
		if err != nil {
			require.ErrorIs(r.t, err, driver.ErrNotExist)
			continue
		}
		b, err := io.ReadAll(body)
		require.NoError(r.t, err)
		head, _, _ := strings.Cut(string(b), "\n")
		var m struct{ State string }
		require.NoError(r.t, json.Unmarshal([]byte(head), &m))
		states[i] = m.State
	}
	return states
}

// there reports which of the referrers exist, and demands that each of them has its entry.
func (r *referrers) there(at ...any) [2]bool {
	return [2]bool{r.isThere(0, at...), r.isThere(1, at...)}
}

// isThere reports whether referrer i exists, and demands that it has its entry if it does.
func (r *referrers) isThere(i int, at ...any) bool {
	d := digest.FromBytes(r.refer[i])
	_, err := r.store.GetManifest(r.t.Context(), "r", byDigest(d))
	if err != nil {
		require.ErrorIs(r.t, err, registry.ErrManifestUnknown, at...)
		return false
	}
	require.True(r.t, slices.ContainsFunc(collect(r.t, r.store.Referrers(r.t.Context(), "r", r.of.Digest, nil)),
		func(desc ocispec.Descriptor) bool {
			return desc.Digest == d
		}), at...)
	return true
}

// TestCollectReferrersWithoutSubject checks that referrers of an absent manifest are removed,
// with their entries and with the record that awaited the subject.
func TestCollectReferrersWithoutSubject(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "r", []byte("{}"))
		subject := image("subject", nil, config)
		of := &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(subject),
			Size: int64(len(subject))}
		for _, name := range []string{"1", "2", "3"} {
			putImage(t, s, "r", image(name, of, config), nil)
		}
		require.Equal(t, storage.CollectCounts{Untagged: 3}, collected(t, s, untagged))
		require.Equal(t, storage.CollectCounts{Blobs: 1, Repositories: 1}, collected(t, s, untagged))
		require.Equal(t, []string{"keys/upload", "layout"}, keys(t, d, ""))
	})
}

// TestCollectReferrersBesidePushOfSubject pushes the subject before each call of a collection in
// turn. The referrers that exist then stay, with their entries.
func TestCollectReferrersBesidePushOfSubject(t *testing.T) {
	stayed, gone := 0, 0
	for n := 1; ; n++ {
		r := newReferrers(t, nil)
		var there [2]bool
		made := r.collect(n, nil, func() {
			r.push()
			there = r.there("pushed before call %d", n)
		})
		if made < n {
			break
		}
		for range 2 {
			require.Equal(t, there, r.there("pushed before call %d", n))
			require.Len(t, collect(t, r.store.Referrers(t.Context(), "r", r.of.Digest, nil)), count(there),
				"pushed before call %d", n)
			collected(t, r.store, untagged)
		}
		require.Equal(t, "ok", r.states()[2])
		require.NotContains(t, r.states(), "awaited")
		for i := range there {
			if there[i] {
				require.Equal(t, "ok", r.states()[i], "pushed before call %d", n)
				stayed++
			} else {
				gone++
			}
		}
	}
	t.Logf("%d stayed, %d were removed", stayed, gone)
	require.Greater(t, stayed, 20)
	require.Greater(t, gone, 10)
}

func count(there [2]bool) (n int) {
	for _, t := range there {
		if t {
			n++
		}
	}
	return n
}

// TestPushOfSubjectBesideCollectKeepsReferrers collects before each call of a push of the
// subject. Before each call of that collection in turn, it pushes the subject again.
func TestPushOfSubjectBesideCollectKeepsReferrers(t *testing.T) {
	for n := 1; ; n++ {
		over := false
		for k := 1; ; k++ {
			r := newReferrers(t, nil)
			calls := 0
			s, made := r.before(n, nil, func() {
				calls = r.collect(k, nil, r.push)
			})
			var there [2]bool
			putImage(t, s, "r", r.subject, tags("v2"))
			there = r.there("calls %d and %d", n, k)
			collected(t, r.store, untagged)
			require.Equal(t, there, r.there("calls %d and %d", n, k))
			require.Len(t, collect(t, r.store.Referrers(t.Context(), "r", r.of.Digest, nil)), count(there))
			if over = *made < n; over || calls < k {
				break
			}
		}
		if over {
			require.Greater(t, n, 5)
			return
		}
	}
}

// TestCollectReferrersInterruptedIsFinishedByNext interrupts a collection after each of its
// writes. Either the next collection finishes it, or the subject is pushed and the referrers
// that exist stay.
func TestCollectReferrersInterruptedIsFinishedByNext(t *testing.T) {
	for _, pushed := range []bool{false, true} {
		waited := 0
		for n := 0; ; n++ {
			r := newReferrers(t, nil)
			faulty := drivertest.NewFaulty(r.driver, nil)
			dying := newStore(t, faulty, nil)
			faulty.CutAfter(n)
			_, err := dying.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true, Parallel: 1})
			if r.states()[2] == "awaited" {
				waited++
			}
			died := r.states()
			collected(t, r.store, &storage.CollectOptions{Untagged: true})
			require.Equal(t, died, r.states(), "within the grace period")
			want := [3]string{}
			if pushed {
				r.push()
				there := r.there("after write %d", n)
				want[2] = "ok"
				for i := range there {
					if there[i] {
						want[i] = "ok"
					}
				}
				if waited > 0 {
					require.Equal(t, want, r.states(), "released after write %d", n)
				}
			}
			for range 2 {
				collected(t, r.store, untagged)
			}
			left := r.states()
			// A collection may have died after it marked a manifest, and before it asked the push
			// to wait. That manifest can be read, and stays.
			for i := range want {
				if want[i] == "ok" && waited == 0 && left[i] == "deleting" {
					left[i] = "ok"
				}
			}
			require.Equal(t, want, left, "after write %d", n)
			r.there("after write %d", n)
			require.Len(t, keys(t, r.driver, "r/r/f/"), strings.Count(strings.Join(left[:2], ""), "ok"), "after write %d", n)
			if !faulty.Cut() {
				require.NoError(t, err)
				require.Greater(t, waited, 3)
				break
			}
		}
	}
}

// interruption is what to do right before a call that match accepts.
type interruption struct {
	match func(op, key string) bool
	do    func()
}

// along returns a Store whose driver is interrupted by the steps, one after the other. left
// returns the number of steps that remain.
func (r *referrers) along(steps ...interruption) (s *storage.Store, left func() int) {
	var mu sync.Mutex
	return newStore(r.t, drivertest.NewFaulty(r.driver, &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			if len(steps) > 0 && steps[0].match(c.Op, c.Key) {
				do := steps[0].do
				steps = steps[1:]
				do()
			}
			return nil
		},
	}), nil), func() int { return len(steps) }
}

// on returns a match for an operation on a manifest.
func on(op string, d digest.Digest) func(op, key string) bool {
	return func(o, key string) bool { return o == op && key == "r/r/m/"+pathOf(d) }
}

// TestCollectReferrersSubjectPushedAndDeleted checks that a subject that is pushed before it is
// awaited protects its referrers even if it is deleted. It may be pushed again, and that push
// would not learn that it is awaited.
func TestCollectReferrersSubjectPushedAndDeleted(t *testing.T) {
	r := newReferrers(t, nil)
	read := interruption{on("Open", r.of.Digest), func() {}} // by the write that fails, and by the next attempt
	s, left := r.along(interruption{on("Put", r.of.Digest), r.push}, read, read,
		interruption{on("Open", r.of.Digest), func() {
			require.NoError(t, r.store.DeleteManifest(t.Context(), "r", byDigest(r.of.Digest), nil))
		}})
	collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true, Parallel: 1})
	require.Zero(t, left())
	require.Equal(t, [3]string{"ok", "ok", ""}, r.states())
	r.there()
}

// TestAwaitedManifestIsAbsent checks that the record of an awaited manifest is invisible except
// to a push and to a collection.
func TestAwaitedManifestIsAbsent(t *testing.T) {
	awaited := func(t *testing.T, opts *storage.Options) *referrers {
		for n := 0; ; n++ {
			r := newReferrers(t, opts)
			faulty := drivertest.NewFaulty(r.driver, nil)
			dying := newStore(t, faulty, opts)
			faulty.CutAfter(n)
			_, err := dying.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true, Parallel: 1})
			if r.states() == [3]string{"deleting", "deleting", "awaited"} {
				return r
			}
			require.Error(t, err)
		}
	}
	ctx := t.Context()
	r := awaited(t, &storage.Options{History: time.Hour, Sparse: true})
	s, subject := r.store, byDigest(r.of.Digest)
	_, err := s.GetManifest(ctx, "r", subject)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = s.StatManifest(ctx, "r", subject, &registry.StatOptions{Renew: func(context.Context) bool { return true }})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = s.OpenBlob(ctx, "r", r.of.Digest, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	require.ErrorIs(t, s.DeleteManifest(ctx, "r", subject, nil), registry.ErrManifestUnknown)
	_, err = s.Restore(ctx, "r", subject, nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	_, err = s.Restore(ctx, "r", byTag("other"), &registry.RestoreOptions{To: r.of.Digest})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	require.Equal(t, []string{"other"}, collect(t, s.Tags(ctx, "r", nil)))
	for _, h := range collect(t, s.History(ctx, "r", nil)) {
		require.Equal(t, "other", h.Tag)
	}
	require.Equal(t, [2]bool{true, true}, r.there(), "manifests are complete until they are removed")
	require.Len(t, collect(t, s.Referrers(ctx, "r", r.of.Digest, nil)), 2)

	// An index that names the manifest counts it as missing, and a walk from a kept tag ignores it.
	putIndex(t, s, "r", tags("index"), r.of)
	_, err = newStore(t, r.driver, nil).PutManifest(ctx, "r", ocispec.MediaTypeImageIndex, index(t, r.of, r.config),
		tags("index"))
	require.ErrorIs(t, err, registry.ErrManifestBlobUnknown)
	kept := &registry.DeleteOptions{Keep: func(tag string) bool { return tag == "index" }}
	require.NoError(t, s.DeleteManifest(ctx, "r", byDigest(digest.FromBytes(r.refer[0])), kept))

	r.push()
	require.Equal(t, [3]string{"", "ok", "ok"}, r.states(), "the mark of a delete remains")
	got, err := s.GetManifest(ctx, "r", subject)
	require.NoError(t, err)
	require.Equal(t, r.subject, got.Content)

	// A delete of the repository ignores it, too.
	r = awaited(t, nil)
	require.NoError(t, r.store.DeleteRepository(ctx, "r", nil))
	require.ErrorIs(t, r.store.DeleteRepository(ctx, "r", nil), registry.ErrNameUnknown)
	require.Equal(t, [3]string{"", "", "awaited"}, r.states())
	require.Empty(t, collect(t, r.store.Repositories(ctx, nil)))
	collected(t, r.store, untagged)
	require.Equal(t, []string{"keys/upload", "layout"}, keys(t, r.driver, ""))
}
