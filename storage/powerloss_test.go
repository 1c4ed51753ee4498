package storage_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestPowerLossTruncatedObjectsAreNotServed truncates each object in turn, as a loss of power
// does to objects that were not acknowledged. A truncated object is never served as complete,
// and pushing again repairs it.
func TestPowerLossTruncatedObjectsAreNotServed(t *testing.T) {
	small, big := []byte("{}"), random(1, 40_000)
	push := func(s *storage.Store) []byte {
		content := image("torn", nil, pushBlob(t, s, "r", small), pushBlob(t, s, "r", big))
		putImage(t, s, "r", content, tags("v1"))
		return content
	}
	prototype := newMemory(t)
	content := push(newStore(t, prototype, nil))
	for info, err := range prototype.List(t.Context(), "", nil) {
		require.NoError(t, err)
		if info.Key == "layout" || strings.HasPrefix(info.Key, "keys/") || strings.HasPrefix(info.Key, "data/") ||
			info.Size == 0 {
			continue // durable before anything else is written, or, for data, before a link is live
		}
		for _, size := range []int64{0, 1, info.Size / 2, info.Size - 1} {
			driver := newMemory(t)
			s := newStore(t, driver, nil)
			push(s)
			tear(t, driver, info.Key, size)
			for _, b := range [][]byte{small, big} {
				got, err := readBlob(t.Context(), s, "r", digest.FromBytes(b))
				if err != nil {
					require.ErrorIs(t, err, registry.ErrBlobUnknown, info.Key)
					continue
				}
				require.True(t, bytes.Equal(b, got), "%s cut to %d", info.Key, size)
			}
			for _, ref := range []string{"v1", string(digest.FromBytes(content))} {
				r := byTag(ref)
				if ref != "v1" {
					r = byDigest(digest.Digest(ref))
				}
				m, err := s.GetManifest(t.Context(), "r", r)
				if err != nil {
					require.ErrorIs(t, err, registry.ErrManifestUnknown, info.Key)
					continue
				}
				require.Equal(t, content, m.Content)
			}
			push(s)
			m, err := s.GetManifest(t.Context(), "r", byTag("v1"))
			require.NoError(t, err)
			require.Equal(t, content, m.Content)
			got, err := readBlob(t.Context(), s, "r", digest.FromBytes(big))
			require.NoError(t, err)
			require.True(t, bytes.Equal(big, got))
		}
	}
}

// tear truncates an object to size bytes.
func tear(t *testing.T, d driver.Driver, key string, size int64) {
	r, _, err := d.Open(t.Context(), key, nil)
	require.NoError(t, err, key)
	b, err := io.ReadAll(io.LimitReader(r, size))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = d.Put(t.Context(), key, bytes.NewReader(b), nil)
	require.NoError(t, err)
}

// TestDamagedDataFailsRead damages acknowledged data, as a failing disk does. The reader gets an
// error.
func TestDamagedDataFailsRead(t *testing.T) {
	big := random(1, 40_000)
	for _, size := range []int64{0, 1, 39_999} {
		driver := newMemory(t)
		s := newStore(t, driver, nil)
		desc := pushBlob(t, s, "r", big)
		tear(t, driver, keys(t, driver, "data/")[0], size)
		_, err := readBlob(t.Context(), s, "r", desc.Digest)
		require.Error(t, err)
		require.NotErrorIs(t, err, registry.ErrBlobUnknown)
	}
}

// TestPushRepairsLostData checks that data that a disk has lost return when the blob is pushed
// again. Until then they are not shared.
func TestPushRepairsLostData(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, nil)
	content := random(1, 50_000)
	desc := pushBlob(t, s, "r", content)
	require.NoError(t, driver.Delete(t.Context(), keys(t, driver, "data/")[0], ""))
	for _, repo := range []string{"other", "r"} {
		pushBlob(t, s, repo, content)
		got, err := readBlob(t.Context(), s, repo, desc.Digest)
		require.NoError(t, err)
		require.Equal(t, content, got)
	}
}

// TestPowerLossAfterEachWrite is TestCrashAfterEachWrite with a loss of power: only durable
// writes remain.
func TestPowerLossAfterEachWrite(t *testing.T) {
	for n := 0; ; n++ {
		power := drivertest.NewPower(newMemory(t))
		newStore(t, power, nil)
		faulty := drivertest.NewFaulty(power, nil)
		w := newWorkload(t.Context(), newStore(t, faulty, nil))
		faulty.CutAfter(n)
		err := w.run()
		left := newMemory(t)
		for key, b := range power.After() {
			_, err := left.Put(t.Context(), key, bytes.NewReader(b), nil)
			require.NoError(t, err)
		}
		again := newStore(t, left, nil)
		w.uploads = nil // uploads survive a kill, but need not survive a loss of power
		at := fmt.Sprintf("power lost after write %d", n)
		w.check(t, again, at)
		w2 := newWorkload(t.Context(), again)
		require.NoError(t, w2.run(), at)
		w2.check(t, again, at+", again")
		if !faulty.Cut() {
			require.NoError(t, err)
			return
		}
	}
}
