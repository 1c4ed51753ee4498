package storage_test

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestInventory: what the lists of an inventory have, and the data behind blobs.
func TestInventory(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, nil)
		large, small := random(1, 50_000), []byte("small")
		for _, repo := range []string{"hub/app", "hub/lib/app", "hubs", "a"} {
			config, blob := pushBlob(t, s, repo, small), pushBlob(t, s, repo, large)
			desc := putImage(t, s, repo, image("x", nil, config, blob), tags("v1", "v2"))
			putIndex(t, s, repo, tags("index"), desc)
		}
		lone := pushBlob(t, s, "hub/blobs", random(2, 20_000))
		v := s.Inventory()
		for prefix, want := range map[string][]string{
			"": {"a", "hub/app", "hub/blobs", "hub/lib/app", "hubs"}, "hub": {"hub/app", "hub/blobs", "hub/lib/app"},
			"hub/lib": {"hub/lib/app"}, "hub/app": {}, "none": {},
		} {
			require.Equal(t, want, collect(t, v.Repositories(ctx, prefix)), prefix)
		}
		var found []string
		for m, err := range v.Manifests(ctx, "hub/app") {
			require.NoError(t, err)
			require.WithinDuration(t, time.Now(), m.Time, time.Minute)
			require.NotEmpty(t, m.Version)
			got, deleting, err := v.Manifest(ctx, "hub/app", m.Digest)
			require.NoError(t, err)
			require.False(t, deleting)
			require.Equal(t, m.Digest, digest.FromBytes(got.Content))
			require.Equal(t, m.Digest, got.Descriptor.Digest)
			found = append(found, string(m.Digest))
		}
		require.Len(t, found, 2)
		require.IsIncreasing(t, found)
		var names []string
		for tag, err := range v.Tags(ctx, "hub/app") {
			require.NoError(t, err)
			require.Contains(t, found, string(tag.Descriptor.Digest))
			require.WithinDuration(t, time.Now(), tag.Time, time.Minute)
			names = append(names, tag.Name)
		}
		require.Equal(t, []string{"index", "v1", "v2"}, names)

		for b, err := range v.Blobs(ctx, "hub/app") {
			require.NoError(t, err)
			require.NotEmpty(t, b.Version)
			require.WithinDuration(t, time.Now(), b.Time, time.Minute)
			data, err := v.Data(ctx, "hub/app", b.Digest)
			require.NoError(t, err)
			same, err := v.Data(ctx, "hubs", b.Digest)
			require.NoError(t, err)
			require.Equal(t, data, same, "repositories share the data")
			if b.Digest == digest.FromBytes(small) {
				require.Equal(t, storage.StoredData{Size: 5, Inline: 5}, data)
			} else {
				require.Equal(t, int64(50_000), data.Size)
				require.NotEmpty(t, data.Objects)
			}
		}
		_, err := v.Data(ctx, "a", lone.Digest)
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
		_, err = v.Data(ctx, "A", lone.Digest)
		require.ErrorIs(t, err, registry.ErrNameInvalid)
		_, _, err = v.Manifest(ctx, "a", lone.Digest)
		require.ErrorIs(t, err, registry.ErrManifestUnknown)
		_, _, err = v.Manifest(ctx, "a", "x")
		require.Error(t, err)
		require.Empty(t, collect(t, v.Tags(ctx, "none")))
		for _, list := range []error{
			firstError(v.Manifests(ctx, "A")), firstError(v.Tags(ctx, "A")), firstError(v.Blobs(ctx, "A")),
		} {
			require.ErrorIs(t, list, registry.ErrNameInvalid)
		}
		objects, bytes, err := v.Bytes(ctx)
		require.NoError(t, err)
		require.GreaterOrEqual(t, objects, int64(2))
		require.InDelta(t, 70_000, bytes, 2*storage.InlineSize) // a rest may be in the records
	})
}

// TestInventoryDeleting: a manifest whose delete has died is served, and known as such.
func TestInventoryDeleting(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	desc := putImage(t, s, "app", image("x", nil, pushBlob(t, s, "app", []byte("config"))), tags("v1"))
	f := drivertest.NewFaulty(d, nil)
	dying := newStore(t, f, nil)
	f.CutAfter(1)
	ref := reference.Ref{Digest: desc.Digest}
	require.Error(t, dying.DeleteManifest(t.Context(), "app", ref, nil))
	_, deleting, err := s.Inventory().Manifest(t.Context(), "app", desc.Digest)
	require.NoError(t, err)
	require.True(t, deleting)
	require.NoError(t, s.DeleteManifest(t.Context(), "app", ref, nil))
	_, _, err = s.Inventory().Manifest(t.Context(), "app", desc.Digest)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
}

// TestInventoryFails: an error of the driver is the last element of a list.
func TestInventoryFails(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	putImage(t, s, "app", image("x", nil, pushBlob(t, s, "app", []byte("config"))), tags("v1"))
	broken := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
		if c.Op == "List" {
			return driver.ErrUnavailable
		}
		return nil
	}})
	v := newStore(t, broken, nil).Inventory()
	ctx := t.Context()
	for _, err := range []error{
		firstError(v.Repositories(ctx, "")), firstError(v.Manifests(ctx, "app")), firstError(v.Tags(ctx, "app")),
		firstError(v.Blobs(ctx, "app")),
	} {
		require.ErrorIs(t, err, registry.ErrUnavailable)
	}
	_, _, err := v.Bytes(ctx)
	require.ErrorIs(t, err, registry.ErrUnavailable)
}

// TestCollectGraceFor: a repository can have a grace period of its own, and unnamed data another one. Blobs of
// pushes whose manifest comes later stay.
func TestCollectGraceFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		d := memory.New(nil)
		s := newStore(t, d, nil)
		mirrored, read := pushBlob(t, s, "hub/app", random(1, 50_000)), pushBlob(t, s, "hub/app", random(2, 50_000))
		early := pushBlob(t, s, "team/app", random(3, 50_000))
		shared := pushBlob(t, s, "hub/app", random(4, 50_000))
		pushBlob(t, s, "team/app", random(4, 50_000))
		gone := pushBlob(t, s, "team/app", random(5, 50_000))
		require.NoError(t, s.DeleteBlob(ctx, "team/app", gone.Digest, nil))
		up, err := s.CreateUpload(ctx, "team/app", nil)
		require.NoError(t, err)
		_, err = up.Append(ctx, 0, -1, bytes.NewReader(random(6, 50_000)))
		require.NoError(t, err)
		size := func() int64 {
			_, n, err := s.Inventory().Bytes(ctx)
			require.NoError(t, err)
			return n
		}
		collectWith := func(grace time.Duration) *storage.CollectReport {
			r, err := s.Collect(ctx, &storage.CollectOptions{
				GraceFor: func(repo string, d digest.Digest) time.Duration {
					if repo == "hub/app" && d != read.Digest {
						return grace
					}
					return 0
				},
				DataGrace: grace,
			})
			require.NoError(t, err)
			return r
		}
		before := size()
		time.Sleep(time.Minute)
		require.Zero(t, collectWith(10*time.Minute).Removed)
		require.Equal(t, before, size())
		time.Sleep(10 * time.Minute)
		r := collectWith(10 * time.Minute)
		require.Equal(t, int64(2), r.Removed.Blobs) // mirrored and, in hub/app, shared
		require.Equal(t, int64(2), r.Removed.Data)  // mirrored and gone
		require.Less(t, size(), before-60_000)
		kept := map[string][]digest.Digest{"hub/app": {read.Digest}, "team/app": {early.Digest, shared.Digest}}
		for repo, blobs := range kept {
			for _, b := range blobs {
				_, err := readBlob(ctx, s, repo, b)
				require.NoError(t, err)
			}
		}
		for _, b := range []digest.Digest{mirrored.Digest, shared.Digest} {
			_, err := s.StatBlob(ctx, "hub/app", b, nil)
			require.ErrorIs(t, err, registry.ErrBlobUnknown)
		}
		_, err = up.Commit(ctx, digest.FromBytes(random(6, 50_000)), nil)
		require.NoError(t, err)
	})
}

// TestInventoryTag: a tag alone is the same as in the list.
func TestInventoryTag(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		putIndex(t, s, "app", tags("v1", "v2"))
		v := s.Inventory()
		for listed, err := range v.Tags(t.Context(), "app") {
			require.NoError(t, err)
			one, err := v.Tag(t.Context(), "app", listed.Name)
			require.NoError(t, err)
			require.Equal(t, listed.Descriptor, one.Descriptor)
			require.True(t, listed.Set.Equal(one.Set))
			require.WithinDuration(t, time.Now(), one.Set, time.Hour)
		}
		for _, unknown := range [][2]string{{"app", "none"}, {"none", "v1"}} {
			_, err := v.Tag(t.Context(), unknown[0], unknown[1])
			require.ErrorIs(t, err, registry.ErrManifestUnknown)
		}
		_, err := v.Tag(t.Context(), "A", "v1")
		require.ErrorIs(t, err, registry.ErrNameInvalid)
		_, err = v.Tag(t.Context(), "app", "-")
		require.ErrorIs(t, err, registry.ErrTagInvalid)
	})
}
