package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// newLimited returns a driver whose objects have at most size bytes.
func newLimited(t testing.TB, size int64) driver.Driver {
	return memory.New(&memory.Options{MaxObjectSize: size})
}

// dataObjects returns the number of data objects, and the number of bytes in them.
func dataObjects(t testing.TB, d driver.Driver) (objects int, size int64) {
	for info, err := range d.List(t.Context(), "data/", nil) {
		require.NoError(t, err)
		objects++
		size += info.Size
	}
	return objects, size
}

// counting is a driver that counts the bytes that are put below data/.
type counting struct {
	driver.Driver
	mu  sync.Mutex
	put int64
}

func (c *counting) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info,
	error) {
	info, err := c.Driver.Put(ctx, key, body, opts)
	if strings.HasPrefix(key, "data/") {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.put += info.Size
	}
	return info, err
}

// TestUploadLargerThanAnObjectIsDivided checks that a blob that fills an object continues in
// another one. Its length may be known or not, in an Append or in the Commit. Each byte is
// written once.
func TestUploadLargerThanAnObjectIsDivided(t *testing.T) {
	const limit = 100_000
	for _, size := range []int{limit - 1, limit, limit + 1, 2 * limit, 10*limit + 12_345, 10*limit + 20_000} {
		for _, known := range []bool{true, false} {
			for _, last := range []bool{true, false} {
				d := &counting{Driver: newLimited(t, limit)}
				s := newStore(t, d, nil)
				content := random(uint64(size), size)
				want, length := digest.FromBytes(content), int64(-1)
				if known {
					length = int64(size)
				}
				u, err := s.CreateUpload(t.Context(), "r", nil)
				require.NoError(t, err)
				body := iotest.HalfReader(bytes.NewReader(content))
				if last {
					_, err = u.Commit(t.Context(), want, &registry.Chunk{Length: length, Body: body})
				} else {
					var n int64
					n, err = u.Append(t.Context(), 0, length, body)
					require.NoError(t, err)
					require.EqualValues(t, size, n)
					require.EqualValues(t, size, u.Size())
					_, err = u.Commit(t.Context(), want, nil)
				}
				require.NoError(t, err)
				got, err := readBlob(t.Context(), s, "r", want)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got))
				objects, stored := dataObjects(t, d)
				tail := size % limit
				if tail >= storage.InlineSize {
					tail, objects = 0, objects-1
				}
				require.Equal(t, size/limit, objects)
				require.EqualValues(t, size-tail, stored)
				require.Equal(t, stored, d.put, "each byte is written once")
			}
		}
	}
}

// TestUploadOfManyAppendsIsDivided checks that merged segments never exceed the size of an
// object, and that full segments are not merged.
func TestUploadOfManyAppendsIsDivided(t *testing.T) {
	const limit = 100_000
	for _, step := range []int{1000, 20_000, 49_999, 50_000, 50_001, 99_999, 100_001, 250_000} {
		d := &counting{Driver: newLimited(t, limit)}
		s := newStore(t, d, nil)
		content := random(uint64(step), 1_000_003)
		u, err := s.CreateUpload(t.Context(), "r", nil)
		require.NoError(t, err)
		for at := 0; at < len(content); at += step {
			part := content[at:min(at+step, len(content))]
			_, err = u.Append(t.Context(), int64(at), int64(len(part)), bytes.NewReader(part))
			require.NoError(t, err)
		}
		_, err = u.Commit(t.Context(), digest.FromBytes(content), nil)
		require.NoError(t, err)
		got, err := readBlob(t.Context(), s, "r", digest.FromBytes(content))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
		require.Less(t, d.put, int64(5*len(content)), "steps of %d", step)
	}
}

// TestUploadKeepsFullObjects checks that what has arrived before a body fails is kept, even if
// it fills several objects, and that the upload can continue.
func TestUploadKeepsFullObjects(t *testing.T) {
	const limit = 100_000
	for _, size := range []int{limit, limit + 1, 3*limit + 30_000} {
		d := newLimited(t, limit)
		s := newStore(t, d, nil)
		content := random(9, 5*limit)
		hangup := errors.New("connection reset")
		u, err := s.CreateUpload(t.Context(), "r", nil)
		require.NoError(t, err)
		n, err := u.Append(t.Context(), 0, int64(len(content)), io.MultiReader(bytes.NewReader(content[:size]),
			iotest.ErrReader(hangup)))
		require.ErrorIs(t, err, hangup)
		require.EqualValues(t, size, n)
		require.EqualValues(t, size, u.Size())
		u, err = newStore(t, d, nil).ResumeUpload(t.Context(), "r", u.ID(), nil)
		require.NoError(t, err)
		require.EqualValues(t, size, u.Size())
		n, err = u.Append(t.Context(), int64(size), int64(len(content)), bytes.NewReader(content[size:]))
		require.ErrorIs(t, err, registry.ErrSizeInvalid)
		require.EqualValues(t, len(content)-size, n)
		_, err = u.Commit(t.Context(), digest.FromBytes(content), nil)
		require.NoError(t, err)
	}
}

// TestUploadCutBetweenObjects interrupts an upload of several objects after each of its writes.
// Each recorded object still exists, the upload continues after it, and a collection removes
// unnamed objects.
func TestUploadCutBetweenObjects(t *testing.T) {
	const limit = 100_000
	content := random(4, 3*limit+50_000)
	for cut := 0; ; cut++ {
		d := newLimited(t, limit)
		faulty := drivertest.NewFaulty(d, nil)
		s := newStore(t, faulty, nil)
		u, err := s.CreateUpload(t.Context(), "r", nil)
		require.NoError(t, err)
		id := u.ID()
		faulty.CutAfter(cut)
		n, err := u.Append(t.Context(), 0, int64(len(content)), bytes.NewReader(content))
		require.EqualValues(t, u.Size(), n)
		if err == nil {
			require.Equal(t, 8, cut, "four objects, each with a record")
			return
		}
		require.ErrorIs(t, err, drivertest.ErrCut)
		require.EqualValues(t, cut/2*limit, n)
		again := newStore(t, d, &storage.Options{Grace: -1})
		u, err = again.ResumeUpload(t.Context(), "r", id, nil)
		require.NoError(t, err)
		require.EqualValues(t, n, u.Size())
		_, err = again.Collect(t.Context(), nil)
		require.NoError(t, err)
		_, err = u.Commit(t.Context(), digest.FromBytes(content), &registry.Chunk{Offset: n, Length: -1,
			Body: bytes.NewReader(content[n:])})
		require.NoError(t, err)
		got, err := readBlob(t.Context(), again, "r", digest.FromBytes(content))
		require.NoError(t, err)
		require.True(t, bytes.Equal(content, got))
	}
}

// TestUploadRaceOverObjects lets several clients send the same large chunk. At most one of them
// records each object, and the blob is complete.
func TestUploadRaceOverObjects(t *testing.T) {
	const limit = 100_000
	d := newLimited(t, limit)
	s := newStore(t, d, nil)
	content := random(5, 5*limit)
	u, err := s.CreateUpload(t.Context(), "r", nil)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 4 {
		mine, err := s.ResumeUpload(t.Context(), "r", u.ID(), nil)
		require.NoError(t, err)
		wg.Go(func() {
			_, err := mine.Append(t.Context(), 0, int64(len(content)), bytes.NewReader(content))
			if err != nil && !errors.Is(err, registry.ErrRangeInvalid) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	u, err = s.ResumeUpload(t.Context(), "r", u.ID(), nil)
	require.NoError(t, err)
	require.EqualValues(t, len(content), u.Size())
	_, err = u.Commit(t.Context(), digest.FromBytes(content), nil)
	require.NoError(t, err)
	objects, _ := dataObjects(t, d)
	require.Equal(t, 5, objects, "the objects of the other clients are removed")
}
