package storage_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// uploads creates uploads of one owner in one Store.
type uploads struct {
	t     *testing.T
	s     *storage.Store
	owner string
}

func (u uploads) create() (registry.Upload, error) {
	return u.s.CreateUpload(u.t.Context(), "r", &registry.UploadOptions{Owner: u.owner})
}

// begun returns an upload that has received one byte.
func (u uploads) begun() registry.Upload {
	u.t.Helper()
	up, err := u.create()
	require.NoError(u.t, err)
	u.add(up)
	return up
}

func (u uploads) add(up registry.Upload) {
	u.t.Helper()
	_, err := up.Append(u.t.Context(), 0, 1, bytes.NewReader([]byte("x")))
	require.NoError(u.t, err)
}

func (u uploads) refused() {
	u.t.Helper()
	_, err := u.create()
	require.ErrorIs(u.t, err, registry.ErrTooManyRequests)
}

// resume returns an upload as another Store resumes it.
func (u uploads) resume(up registry.Upload) registry.Upload {
	u.t.Helper()
	up, err := u.s.ResumeUpload(u.t.Context(), "r", up.ID(), &registry.ResumeOptions{Owner: u.owner})
	require.NoError(u.t, err)
	return up
}

func TestMaxUploadsOfOneOwner(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		ctx := t.Context()
		s := newStore(t, d, &storage.Options{MaxUploads: 3})
		ann, anonymous := uploads{t, s, "ann"}, uploads{t, s, ""}
		first, second, third := ann.begun(), ann.begun(), ann.begun()
		before := keys(t, d, "")
		ann.refused()
		require.Equal(t, before, keys(t, d, ""))
		for range 3 {
			anonymous.begun()
		}
		anonymous.refused()

		_, err := first.Append(ctx, 1, 1, bytes.NewReader([]byte("y")))
		require.NoError(t, err, "an upload that has begun continues")
		_, err = first.Commit(ctx, digest.FromString("xy"), nil)
		require.NoError(t, err)
		ann.begun()
		ann.refused()
		require.NoError(t, second.Cancel(ctx))
		ann.begun()
		ann.refused()
		_, err = third.Commit(ctx, digest.FromString("another"), nil)
		require.ErrorIs(t, err, registry.ErrDigestInvalid)
		fourth, err := ann.create()
		require.NoError(t, err)
		ann.refused()
		_, err = fourth.Commit(ctx, digest.FromString("z"), &registry.Chunk{Length: 1, Body: bytes.NewReader([]byte("z"))})
		require.NoError(t, err)
		ann.begun()
	})
}

func TestMaxUploadsNegativeIsNoLimit(t *testing.T) {
	all := uploads{t, newStore(t, newMemory(t), &storage.Options{MaxUploads: -1}), ""}
	for range storage.DefaultMaxUploads + 1 {
		_, err := all.create()
		require.NoError(t, err)
	}
	limited := uploads{t, newStore(t, newMemory(t), nil), ""}
	for range storage.DefaultMaxUploads {
		_, err := limited.create()
		require.NoError(t, err)
	}
	limited.refused()
}

// TestMaxUploadsWithoutBytes checks that uploads without content count for a moment, and again
// from their first byte on. That byte is refused before it is written.
func TestMaxUploadsWithoutBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newMemory(t)
		ann := uploads{t, newStore(t, d, &storage.Options{MaxUploads: 3}), "ann"}
		var old []registry.Upload
		for range 3 {
			up, err := ann.create()
			require.NoError(t, err)
			old = append(old, up)
		}
		ann.refused()
		time.Sleep(11 * time.Second)
		ann.begun()
		ann.add(old[0])
		ann.add(old[1])
		_, err := old[2].Append(t.Context(), 0, 1, bytes.NewReader([]byte("x")))
		require.ErrorIs(t, err, registry.ErrTooManyRequests)
		require.Len(t, keys(t, d, "u/"), 3)
	})
}

// TestMaxUploadsExpire checks that an upload without requests for UploadTTL no longer counts.
func TestMaxUploadsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ann := uploads{t, newStore(t, newMemory(t), &storage.Options{MaxUploads: 3, UploadTTL: time.Hour}), "ann"}
		for range 3 {
			ann.begun()
		}
		time.Sleep(59 * time.Minute)
		ann.refused()
		time.Sleep(2 * time.Minute)
		for range 3 {
			ann.begun()
		}
		ann.refused()
	})
}

// TestMaxUploadsOfTwoStores checks that uploads that another Store has ended no longer count,
// and that uploads that it has begun count once this Store sees them.
func TestMaxUploadsOfTwoStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, opts := newMemory(t), &storage.Options{MaxUploads: 40}
		here, there := uploads{t, newStore(t, d, opts), "ann"}, uploads{t, newStore(t, d, opts), "ann"}
		var ups []registry.Upload
		for range 40 {
			ups = append(ups, here.begun())
		}
		for i, up := range ups {
			up = there.resume(up)
			if i%2 == 0 {
				require.NoError(t, up.Cancel(t.Context()))
			} else {
				_, err := up.Commit(t.Context(), digest.FromString("x"), nil)
				require.NoError(t, err)
			}
		}
		time.Sleep(11 * time.Second)
		for range 40 {
			there.resume(here.begun())
		}
		here.refused()
		there.refused()
		time.Sleep(11 * time.Second)
		here.refused()
	})
}
