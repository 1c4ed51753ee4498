package storage_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// TestInventoryRecord: the states of the record of a manifest.
func TestInventoryRecord(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, nil)
		config := pushBlob(t, s, "app", []byte("{}"))
		m := putImage(t, s, "app", image("x", nil, config), tags("v1"))
		v := s.Inventory()
		r, err := v.Record(ctx, "app", m.Digest)
		require.NoError(t, err)
		require.Equal(t, storage.ManifestVisible, r.State)
		require.Equal(t, m.Digest, digest.FromBytes(r.Manifest.Content))
		require.Equal(t, m.Digest, r.Manifest.Descriptor.Digest)
		require.NotEmpty(t, r.Version)
		require.False(t, r.Time.IsZero())
		content := string(r.Manifest.Content)
		key := "r/app/m/" + objectkey.DigestPath(m.Digest)
		body, _, err := d.Open(ctx, key, nil)
		require.NoError(t, err)
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		whole := string(b)
		write := func(record string) {
			_, err := d.Put(ctx, key, strings.NewReader(record), nil)
			require.NoError(t, err)
		}
		for state, want := range map[string]storage.ManifestState{
			`"pending"`: storage.ManifestPending, `"deleting"`: storage.ManifestDeleting,
			`"deleting","collected":true`: storage.ManifestVisible, `"awaited"`: storage.ManifestAbsent,
			`"refused"`: storage.ManifestRefused,
		} {
			write(strings.Replace(whole, `"ok"`, state, 1))
			r, err = v.Record(ctx, "app", m.Digest)
			require.NoError(t, err)
			require.Equal(t, want, r.State, state)
			if want != storage.ManifestAbsent {
				require.Equal(t, content, string(r.Manifest.Content), state)
			}
		}
		write(`{"state":"refused","nonce":"x","mediaType":"","size":0,"sum":0,"references":["` +
			string(config.Digest) + `"]}` + "\n")
		r, err = v.Record(ctx, "app", m.Digest)
		require.NoError(t, err)
		require.Equal(t, storage.ManifestRefused, r.State)
		require.Equal(t, []digest.Digest{config.Digest}, r.Names)
		require.Nil(t, r.Manifest)
		for _, damaged := range []string{
			whole[:len(whole)-1], whole[:10], strings.Replace(whole, `"layers"`, `"Layers"`, 1),
		} {
			write(damaged)
			r, err = v.Record(ctx, "app", m.Digest)
			require.NoError(t, err)
			require.Equal(t, storage.ManifestDamaged, r.State)
		}
		require.NoError(t, d.Delete(ctx, key, ""))
		r, err = v.Record(ctx, "app", m.Digest)
		require.NoError(t, err)
		require.Equal(t, storage.StoredRecord{}, r)
		_, err = v.Record(ctx, "app", "x")
		require.ErrorIs(t, err, registry.ErrDigestInvalid)
	})
}

// TestInventoryShared: the blobs of several repositories.
func TestInventoryShared(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, &storage.Options{Grace: time.Hour, History: time.Minute})
		one, two := random(1, 50_000), random(2, 50_000)
		pushBlob(t, s, "a", one)
		shared := pushBlob(t, s, "a", two)
		pushBlob(t, s, "b/c", two)
		pushBlob(t, s, "d", two)
		require.Equal(t, []digest.Digest{shared.Digest}, collect(t, s.Inventory().Shared(t.Context())))
		require.Equal(t, time.Hour, s.Inventory().Grace())
		require.Equal(t, time.Minute, s.Inventory().HistoryTime())
		require.Zero(t, newStore(t, d, &storage.Options{Grace: -1}).Inventory().Grace())
	})
}
