package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// TestFullStorage checks that a full storage can still be collected, and that its content can be
// deleted. The reserve, which a scheduled collection creates and recreates, has the room for
// that.
func TestFullStorage(t *testing.T) {
	var m ocispec.Descriptor
	for name, makeSpace := range map[string]func(s *storage.Store) error{
		"CollectEvery": func(s *storage.Store) error {
			time.Sleep(time.Hour)
			synctest.Wait()
			return nil
		},
		"Collect": func(s *storage.Store) error { _, err := s.Collect(t.Context(), untagged); return err },
		"DeleteManifest": func(s *storage.Store) error {
			return s.DeleteManifest(t.Context(), "r", byDigest(m.Digest),
				nil)
		},
		"DeleteRepository": func(s *storage.Store) error { return s.DeleteRepository(t.Context(), "r", nil) },
	} {
		for _, opts := range []*storage.Options{nil, withHistory} {
			t.Run(fmt.Sprint(name, " history ", opts != nil), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newBounded(t, 20<<20)
					s := newStore(t, d, opts)
					keep := pushBlob(t, s, "keep", random(1, 100_000))
					putImage(t, s, "keep", image("keep", nil, keep), tags("v1"))
					m = putImage(t, s, "r", image("r", nil, pushBlob(t, s, "r", random(2, 100_000))), tags("v1"))
					ctx, cancel := context.WithCancel(t.Context())
					ended := make(chan error)
					go func() {
						ended <- s.CollectEvery(ctx, &storage.ScheduleOptions{Every: time.Hour, Collect: *untagged})
					}()
					synctest.Wait()
					require.Len(t, keys(t, d, "reserve/"), 64)
					if name != "CollectEvery" {
						cancel()
						require.ErrorIs(t, <-ended, context.Canceled)
					}
					for i := range 20 {
						pushBlob(t, s, "r", random(uint64(10+i), 100_000))
						pushBlob(t, s, "r", random(uint64(100+i), 1000))
					}
					fill(t, d)
					_, err := tryBlob(t.Context(), s, "r", random(200, 1000))
					require.ErrorIs(t, err, registry.ErrNoSpace)

					require.NoError(t, makeSpace(s))
					cancel()
					if name == "CollectEvery" {
						require.ErrorIs(t, <-ended, context.Canceled)
						require.Len(t, keys(t, d, "reserve/"), 64)
					} else {
						require.Len(t, keys(t, d, "reserve/"), 63)
					}
					if name == "CollectEvery" || name == "Collect" {
						require.Len(t, keys(t, d, "data/"), 2)
					}
					pushBlob(t, s, "r", random(200, 1000))
					got, err := readBlob(t.Context(), s, "keep", keep.Digest)
					require.NoError(t, err)
					require.True(t, bytes.Equal(random(1, 100_000), got))
				})
			})
		}
	}
}

// TestReserveRepairsTruncatedPart checks that a part that a loss of power has truncated is
// written again.
func TestReserveRepairsTruncatedPart(t *testing.T) {
	d := newMemory(t)
	for part := range 3 {
		_, err := d.Put(t.Context(), fmt.Sprintf("reserve/%02d", part), strings.NewReader("lost"[:part]), nil)
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := func(*storage.CollectReport, error) { cancel() }
	require.ErrorIs(t, newStore(t, d, nil).CollectEvery(ctx, &storage.ScheduleOptions{Every: time.Hour, Done: done}),
		context.Canceled)
	require.Len(t, keys(t, d, "reserve/"), 64)
	for info, err := range d.List(t.Context(), "reserve/", nil) {
		require.NoError(t, err)
		require.EqualValues(t, 64<<10, info.Size, info.Key)
	}
}

// countedOut is a driver that holds a limited number of objects, as a file system may.
type countedOut struct {
	driver.Driver
	most int
	mu   sync.Mutex
}

func (d *countedOut) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info,
	error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for info, err := range d.List(ctx, "", &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return driver.Info{}, err
		}
		if info.Key != key {
			n++
		}
	}
	if n >= d.most {
		return driver.Info{}, driver.ErrNoSpace
	}
	return d.Driver.Put(ctx, key, body, opts)
}

// TestFullStorageWithMuchGarbage checks a collection that needs more marks than the storage has
// room for, even after a collection has spent the reserve in vain.
func TestFullStorageWithMuchGarbage(t *testing.T) {
	for _, spent := range []bool{false, true} {
		t.Run(fmt.Sprint(spent), func(t *testing.T) {
			d := &countedOut{Driver: newMemory(t), most: 500}
			s := newStore(t, d, nil)
			ctx, cancel := context.WithCancel(t.Context())
			done := func(*storage.CollectReport, error) { cancel() }
			require.ErrorIs(t, s.CollectEvery(ctx, &storage.ScheduleOptions{Every: time.Hour, Collect: *noGrace, Done: done}),
				context.Canceled)
			for i := range 200 {
				m := pushBlob(t, s, "r", random(uint64(10+i), 20_000))
				require.NoError(t, s.DeleteBlob(t.Context(), "r", m.Digest, nil))
			}
			garbage := keys(t, d, "data/")
			keep := pushBlob(t, s, "keep", random(1, 20_000))
			putImage(t, s, "keep", image("keep", nil, keep), tags("v1"))
			for n := 0; ; n++ {
				if _, err := d.Put(t.Context(), fmt.Sprint("other/", n), nil, nil); err != nil {
					require.ErrorIs(t, err, driver.ErrNoSpace)
					break
				}
			}
			if spent {
				reserved := keys(t, d, "reserve/")
				require.NotEmpty(t, reserved)
				for i, key := range reserved {
					require.NoError(t, d.Delete(t.Context(), key, ""))
					name := garbage[len(garbage)-1-i]
					_, err := d.Put(t.Context(), "dead/"+name[len("data/"):], nil, nil)
					require.NoError(t, err)
				}
			}
			collected(t, s, noGrace)
			require.Len(t, keys(t, d, "data/"), 1)
			require.Empty(t, keys(t, d, "dead/"))
			got, err := readBlob(t.Context(), s, "keep", keep.Digest)
			require.NoError(t, err)
			require.True(t, bytes.Equal(random(1, 20_000), got))
		})
	}
}

// burying is a driver that writes a tombstone when it deletes on a version.
type burying struct{ driver.Driver }

func (d burying) Delete(ctx context.Context, key, ifVersion string) error {
	if ifVersion != "" {
		if _, err := d.Put(ctx, "other/tombstone", bytes.NewReader(make([]byte, 20)), nil); err != nil {
			return err
		}
		if err := d.Driver.Delete(ctx, "other/tombstone", ""); err != nil {
			return err
		}
	}
	return d.Driver.Delete(ctx, key, ifVersion)
}

// TestFullStorageWithTombstones checks that there is room for a delete that is a write.
func TestFullStorageWithTombstones(t *testing.T) {
	for name, makeSpace := range map[string]func(t *testing.T, s *storage.Store, d digest.Digest){
		"tag": func(t *testing.T, s *storage.Store, _ digest.Digest) {
			require.NoError(t, s.DeleteManifest(t.Context(), "r", byTag("v1"), nil))
		},
		"blob": func(t *testing.T, s *storage.Store, d digest.Digest) {
			require.NoError(t, s.DeleteBlob(t.Context(), "r", d, nil))
		},
		"uploads": func(t *testing.T, s *storage.Store, _ digest.Digest) {
			n, err := s.ExpireUploads(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, n)
		},
		"collection": func(t *testing.T, s *storage.Store, _ digest.Digest) {
			require.EqualValues(t, 1, collected(t, s, noGrace).Uploads)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := burying{newBounded(t, 10<<20)}
				s := newStore(t, d, nil)
				blob := pushBlob(t, s, "r", random(1, 100_000))
				putImage(t, s, "r", image("r", nil, blob), tags("v1"))
				ctx, cancel := context.WithCancel(t.Context())
				done := func(*storage.CollectReport, error) { cancel() }
				require.ErrorIs(t, s.CollectEvery(ctx, &storage.ScheduleOptions{Every: time.Hour, Done: done}), context.Canceled)
				u, err := s.CreateUpload(t.Context(), "r", nil)
				require.NoError(t, err)
				_, err = u.Append(t.Context(), 0, -1, bytes.NewReader(random(2, 100)))
				require.NoError(t, err)
				time.Sleep(storage.DefaultUploadTTL)
				fill(t, d)
				makeSpace(t, s, blob.Digest)
			})
		})
	}
}

// lookingSeldom is a driver that measures the free space only once a second.
type lookingSeldom struct {
	driver.Driver
	mu   sync.Mutex
	full time.Time
}

func (d *lookingSeldom) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info,
	error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.full) < time.Second {
		return driver.Info{}, driver.ErrNoSpace
	}
	info, err := d.Driver.Put(ctx, key, body, opts)
	if errors.Is(err, driver.ErrNoSpace) {
		d.full = time.Now()
	}
	return info, err
}

// TestReserveDelayedSpaceReleasesFewParts checks that a delete releases only a few parts of the
// reserve if the storage takes a moment to notice the free space.
func TestReserveDelayedSpaceReleasesFewParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := newBounded(t, 10<<20)
		s := newStore(t, &lookingSeldom{Driver: memory}, nil)
		m := putImage(t, s, "r", image("r", nil, pushBlob(t, s, "r", random(1, 100_000))), tags("v1"))
		ctx, cancel := context.WithCancel(t.Context())
		done := func(*storage.CollectReport, error) { cancel() }
		require.ErrorIs(t, s.CollectEvery(ctx, &storage.ScheduleOptions{Every: time.Hour, Done: done}), context.Canceled)
		fill(t, memory)
		require.NoError(t, s.DeleteManifest(t.Context(), "r", byDigest(m.Digest), nil))
		require.GreaterOrEqual(t, len(keys(t, memory, "reserve/")), 50)
	})
}
