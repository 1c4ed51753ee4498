package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestCollectDryRunCountsUploads checks that a dry run counts expired uploads and leaves them.
func TestCollectDryRunCountsUploads(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, &storage.Options{UploadTTL: 50 * time.Millisecond})
	u, err := s.CreateUpload(t.Context(), "r", nil)
	require.NoError(t, err)
	_, err = u.Append(t.Context(), 0, -1, bytes.NewReader(random(1, 50_000)))
	require.NoError(t, err)
	time.Sleep(60 * time.Millisecond)
	for range 2 {
		require.Equal(t, storage.CollectCounts{Uploads: 1}, collected(t, s, &storage.CollectOptions{DryRun: true}))
	}
	require.Equal(t, storage.CollectCounts{Uploads: 1}, collected(t, s, nil))
	require.Zero(t, collected(t, s, &storage.CollectOptions{DryRun: true}))
}

// TestCollectAfterDeletesLeavesNothing runs the script of TestCrashAfterEachWrite and collects,
// then deletes everything and collects again.
func TestCollectAfterDeletesLeavesNothing(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		w := newWorkload(t.Context(), s)
		require.NoError(t, w.run())
		dry, err := s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, DryRun: true})
		require.NoError(t, err)
		require.Equal(t, storage.CollectCounts{}, collected(t, s, nil), "the grace period is not over")
		removed := collected(t, s, noGrace)
		require.Equal(t, dry.Removed, removed)
		w.check(t, s, "collected")
		require.Equal(t, storage.CollectCounts{}, collected(t, s, noGrace), "nothing is left to collect")
		for _, repo := range []string{"a/b", "c"} {
			if err := s.DeleteRepository(t.Context(), repo, nil); repo == "a/b" {
				require.NoError(t, err)
			}
		}
		for id := range w.uploads {
			u, err := s.ResumeUpload(t.Context(), "a/b", id, nil)
			require.NoError(t, err)
			require.NoError(t, u.Cancel(t.Context()))
		}
		collected(t, newStore(t, d, &storage.Options{UploadTTL: time.Nanosecond}), noGrace)
		require.Equal(t, []string{"keys/upload", "layout"}, keys(t, d, ""))
	})
}

func TestCollectRemovesUnreferencedBlobs(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, nil)
	big, small, other := random(1, 40_000), []byte("{}"), random(2, 50_000)
	config, layer := pushBlob(t, s, "r", small), pushBlob(t, s, "r", big)
	pushBlob(t, s, "r", other)
	m := putImage(t, s, "r", image("1", nil, config, layer), tags("v1"))
	_, err := s.MountBlob(t.Context(), "q", layer.Digest, &registry.MountOptions{From: "r"})
	require.NoError(t, err)
	r, err := s.Collect(t.Context(), noGrace)
	require.NoError(t, err)
	require.Equal(t, storage.CollectCounts{Blobs: 2, Data: 1, DataBytes: 50_000}, r.Removed,
		"the other blob, and the mount")
	require.EqualValues(t, 2, r.Repositories)
	require.EqualValues(t, 1, r.Manifests)
	require.EqualValues(t, 4, r.Blobs)
	require.EqualValues(t, 2, r.Data)
	require.EqualValues(t, 90_000, r.DataBytes)
	require.Positive(t, r.Requests)
	require.Empty(t, keys(t, d, "dead/"))
	got, err := readBlob(t.Context(), s, "r", layer.Digest)
	require.NoError(t, err)
	require.Equal(t, big, got)

	require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(m.Digest), nil))
	collected(t, s, noGrace)
	require.Equal(t, []string{"keys/upload", "layout"}, keys(t, d, ""))
}

// TestCollectSharedDataKeptUntilLastLink checks that the data of a blob are removed only with
// its last link.
func TestCollectSharedDataKeptUntilLastLink(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, nil)
	big := random(1, 40_000)
	layer := pushBlob(t, s, "a", big)
	_, err := s.MountBlob(t.Context(), "b", layer.Digest, &registry.MountOptions{From: "a"})
	require.NoError(t, err)
	putImage(t, s, "b", image("1", nil, layer), tags("v1"))
	require.Equal(t, storage.CollectCounts{Blobs: 1}, collected(t, s, noGrace))
	got, err := readBlob(t.Context(), s, "b", layer.Digest)
	require.NoError(t, err)
	require.Equal(t, big, got)
	require.NoError(t, s.DeleteRepository(t.Context(), "b", nil))
	require.Equal(t, storage.CollectCounts{Data: 1, DataBytes: 40_000}, collected(t, s, noGrace))
}

func TestCollectUntagged(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, nil)
	config := pushBlob(t, s, "r", []byte("{}"))
	put := func(name string, subject *ocispec.Descriptor, opts *registry.PutOptions) ocispec.Descriptor {
		return putImage(t, s, "r", image(name, subject, config), opts)
	}
	tagged, child, gone, moved := put("tagged", nil, tags("v1")), put("child", nil, nil), put("gone", nil, nil),
		put("moved", nil, tags("v2"))
	put("tagged too", nil, tags("v2"))
	layer := pushBlob(t, s, "r", random(1, 20_000))
	layer.MediaType = "application/x-blob"
	idx := putIndex(t, s, "r", tags("index"), child, layer)
	signature := put("signature", &tagged, nil)
	ofSignature := put("of signature", &signature, nil)
	nowhere := put("of nothing", &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: moved.Digest,
		Size: moved.Size}, nil)
	require.Equal(t, storage.CollectCounts{Pointers: 1}, collected(t, s, noGrace),
		"the back reference of the tag that moved")
	opts := &storage.CollectOptions{Grace: -1, Untagged: true}
	require.Equal(t, storage.CollectCounts{Untagged: 2}, collected(t, s, opts), "the manifests gone and moved")
	require.Equal(t, storage.CollectCounts{Untagged: 1}, collected(t, s, opts), "the referrer of a removed manifest")
	require.Equal(t, storage.CollectCounts{}, collected(t, s, opts))
	for _, there := range []ocispec.Descriptor{tagged, child, idx, signature, ofSignature} {
		_, err := s.StatManifest(t.Context(), "r", byDigest(there.Digest), nil)
		require.NoError(t, err)
	}
	for _, not := range []ocispec.Descriptor{gone, moved, nowhere} {
		_, err := s.StatManifest(t.Context(), "r", byDigest(not.Digest), nil)
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
	}
	got, err := readBlob(t.Context(), s, "r", layer.Digest)
	require.NoError(t, err, "a blob that is a child of an index")
	require.Len(t, got, 20_000)
}

// TestCollectGraceKeepsNewAndFoundContent checks that content stays during its grace period,
// which begins again when a push finds the content.
func TestCollectGraceKeepsNewAndFoundContent(t *testing.T) {
	d := newMemory(t)
	const grace = 300 * time.Millisecond
	opts := &storage.Options{Grace: grace}
	s := newStore(t, d, opts)
	for i := range 3 {
		pushBlob(t, s, "r", random(uint64(i), 20_000))
	}
	require.Zero(t, collected(t, s, nil).Blobs)
	time.Sleep(grace)
	pushBlob(t, s, "r", random(0, 20_000))
	require.Equal(t, storage.CollectCounts{Blobs: 2, Data: 2, DataBytes: 40_000}, collected(t, s, nil))
}

// TestCollectKeepsRestorableContent collects after deletes that the history can undo, and
// restores.
func TestCollectKeepsRestorableContent(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, withHistory)
	w := newWorkload(t.Context(), s)
	require.NoError(t, w.run())
	require.NoError(t, s.DeleteRepository(t.Context(), "a/b", nil))
	for range 2 {
		collected(t, s, &storage.CollectOptions{Grace: -1, Untagged: true})
	}
	for _, repo := range []string{"a/b", "c"} {
		r, err := s.Restore(t.Context(), repo, byTag(""), nil)
		require.NoError(t, err)
		require.Empty(t, r.Lost)
		require.NotEmpty(t, r.Manifests)
		for _, m := range r.Manifests {
			got, err := s.GetManifest(t.Context(), repo, byDigest(m.Descriptor.Digest))
			require.NoError(t, err)
			var parsed ocispec.Manifest
			require.NoError(t, json.Unmarshal(got.Content, &parsed))
			for _, b := range append(parsed.Layers, parsed.Config) {
				content, err := readBlob(t.Context(), s, repo, b.Digest)
				require.NoError(t, err)
				require.EqualValues(t, b.Size, len(content))
			}
		}
		require.NoError(t, s.DeleteRepository(t.Context(), repo, nil))
	}
	later := newStore(t, d, &storage.Options{History: time.Nanosecond, UploadTTL: time.Nanosecond})
	_, err := later.ExpireHistory(t.Context())
	require.NoError(t, err)
	collected(t, later, noGrace)
	require.Equal(t, []string{"keys/upload", "layout"}, keys(t, d, ""))
}

// TestCollectInterruptedIsFinishedByNext interrupts a collection after each of its writes, by a
// kill and by a loss of power. Nothing is lost, and the next collection finishes.
func TestCollectInterruptedIsFinishedByNext(t *testing.T) {
	for name, powerLoss := range map[string]bool{"kill": false, "power": true} {
		t.Run(name, func(t *testing.T) {
			for n := 0; ; n++ {
				power := drivertest.NewPower(newMemory(t))
				s := newStore(t, power, nil)
				w := newWorkload(t.Context(), s)
				require.NoError(t, w.run())
				w.blobs, w.uploads = nil, nil // unreferenced content is collected
				config := pushBlob(t, s, "a/b", []byte("{}"))
				pushBlob(t, s, "a/b", random(7, 30_000))
				pushBlob(t, s, "d", random(8, 30_000))
				putImage(t, s, "a/b", image("untagged", nil, config), nil)
				putImage(t, s, "a/b", image("moved", nil, config), tags("moved"))
				putImage(t, s, "a/b", image("moved on", nil, config), tags("moved"))
				putImage(t, s, "e", image("untagged", nil, pushBlob(t, s, "e", []byte("{}"))), nil)
				faulty := drivertest.NewFaulty(power, nil)
				cut := newStore(t, faulty, nil)
				faulty.CutAfter(n)
				_, err := cut.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
				var left driver.Driver = power
				if powerLoss {
					left = newMemory(t)
					for key, b := range power.After() {
						_, err := left.Put(t.Context(), key, bytes.NewReader(b), nil)
						require.NoError(t, err)
					}
				}
				at := fmt.Sprintf("after write %d", n)
				again := newStore(t, left, nil)
				w.check(t, again, at)
				for range 2 {
					collected(t, again, &storage.CollectOptions{Grace: -1, Untagged: true})
				}
				w.check(t, again, at+", collected")
				require.NoError(t, again.DeleteRepository(t.Context(), "a/b", nil))
				for range 2 {
					collected(t, newStore(t, left, &storage.Options{UploadTTL: time.Nanosecond}), noGrace)
				}
				require.Equal(t, []string{"keys/upload", "layout"}, keys(t, left, ""), at)
				if !faulty.Cut() {
					require.NoError(t, err)
					require.Greater(t, n, 20)
					return
				}
				require.Error(t, err, at)
			}
		})
	}
}

// refusal reports whether err is an error that a push may get beside a collection without a
// grace period.
func refusal(err error) bool {
	return errors.Is(err, registry.ErrManifestBlobUnknown) || errors.Is(err, registry.ErrBlobUnknown) ||
		errors.Is(err, registry.ErrUploadUnknown)
}

// TestCollectBeforeEachCallLosesNothing runs a whole collection without a grace period before
// each storage call of the script in turn. Acknowledged content stays complete. A push may be
// refused, and succeeds when it is repeated.
func TestCollectBeforeEachCallLosesNothing(t *testing.T) {
	for _, history := range []time.Duration{0, time.Hour} {
		refused := 0
		n := 1
		for ; ; n++ {
			driver := newMemory(t)
			opts := &storage.Options{History: history}
			collector := newStore(t, driver, opts)
			var calls atomic.Int64
			faulty := drivertest.NewFaulty(driver, &drivertest.FaultyOptions{Before: func(context.Context,
				drivertest.Call) error {
				if calls.Add(1) == int64(n) {
					collected(t, collector, noGrace)
				}
				return nil
			}})
			s := newStore(t, faulty, opts)
			w := newWorkload(t.Context(), s)
			err := w.run()
			if err != nil {
				require.True(t, refusal(err), "call %d: %v", n, err)
				refused++
			}
			w.blobs, w.uploads = nil, nil
			at := fmt.Sprintf("collected before call %d", n)
			w.check(t, s, at)
			collected(t, collector, noGrace)
			w.check(t, s, at+", and again")
			if err != nil {
				w = newWorkload(t.Context(), s)
				require.NoError(t, w.run(), at)
				w.check(t, s, at+", pushed again")
			}
			if calls.Load() < int64(n) {
				break
			}
		}
		t.Logf("before each of %d calls; %d pushes were refused", n, refused)
		require.Greater(t, n, 200)
		require.Less(t, refused, n/2)
	}
}

func TestCollectEndsWithItsContext(t *testing.T) {
	s := newStore(t, newMemory(t), nil)
	require.NoError(t, newWorkload(t.Context(), s).run())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := s.Collect(ctx, noGrace)
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, r.Removed)
}

// TestCollectSingleProcessStorageIsRefused checks that Collect refuses a storage whose
// conditions hold only within one process.
func TestCollectSingleProcessStorageIsRefused(t *testing.T) {
	s := newStore(t, confined{newMemory(t)}, nil)
	_, err := s.Collect(t.Context(), nil)
	require.ErrorIs(t, err, storage.ErrSingleProcess)
	require.ErrorContains(t, err, "locks of this process")
	_, err = s.Collect(t.Context(), &storage.CollectOptions{Exclusive: true})
	require.NoError(t, err)
}

type confined struct{ driver.Driver }

func (confined) SingleProcess() string { return "its conditions are locks of this process" }
