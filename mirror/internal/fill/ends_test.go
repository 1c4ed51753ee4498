package fill_test

import (
	"bytes"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// open begins to read a blob and returns when the first n bytes have come.
func (r *replica) open(t *testing.T, req *fill.Request, n int) io.ReadSeekCloser {
	b, err := r.fills.Open(t.Context(), req)
	require.NoError(t, err)
	t.Cleanup(func() { b.Body.Close() })
	_, err = io.ReadFull(b.Body, make([]byte, n))
	require.NoError(t, err)
	return b.Body
}

func TestTheFirstReaderMayLeave(t *testing.T) {
	blob := content(4, 300<<10)
	s := upstream(t, blob)
	more := make(chan struct{})
	s.Break(upstreamtest.Match{}, upstreamtest.HoldBody(1000, more))
	d := memory.New(nil)
	opts := quick()
	opts.Linger = time.Millisecond
	r := newReplica(t, d, opts)
	req := request(blob, newSource(t, s))
	first, second := r.open(t, req, 1000), r.open(t, req, 1000)
	require.NoError(t, first.Close())
	time.Sleep(5 * time.Millisecond)
	close(more)
	rest, err := io.ReadAll(second)
	require.NoError(t, err)
	require.True(t, bytes.Equal(blob[1000:], rest))
	r.requireStored(t, d, blob)
}

// A fill of which little is missing goes on without readers. See TestTheLastReaderEndsAFill.
func TestLittleIsFetchedWithoutReaders(t *testing.T) {
	blob := content(4, 300<<10)
	s := upstream(t, blob)
	more := make(chan struct{})
	s.Break(upstreamtest.Match{}, upstreamtest.HoldBody(1000, more))
	d := memory.New(nil)
	opts := quick()
	opts.Linger = time.Millisecond
	r := newReplica(t, d, opts)
	req := request(blob, newSource(t, s))
	require.NoError(t, r.open(t, req, 1000).Close())
	time.Sleep(5 * time.Millisecond)
	close(more)
	require.NoError(t, r.fills.Wait(t.Context(), req))
	require.Equal(t, 1, s.Count("GET", upstreamtest.Blob))
	r.requireStored(t, d, blob)
}

// Without readers, a fill of which much is missing ends. What has come stays, for the next reader.
func TestTheLastReaderEndsAFill(t *testing.T) {
	blob := content(4, 74<<20)
	s := upstream(t, blob)
	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HangBody(9<<20))
	d := memory.New(nil)
	r := newReplica(t, d, &fill.Options{Linger: time.Millisecond})
	req := request(blob, newSource(t, s))
	require.NoError(t, r.open(t, req, 9<<20).Close())
	require.Eventually(t, func() bool { return r.fills.Stats().Active == 0 }, 20*time.Second, time.Millisecond)
	r.requireNothing(t, blob)
	r.requireRead(t, req, blob)
	require.EqualValues(t, len(blob), r.fills.Stats().Bytes, "nothing is fetched twice")
	require.EqualValues(t, 1, r.fills.Stats().Resumed)
	require.Zero(t, r.fills.Stats().Failed)
	r.requireStored(t, d, blob)
}

// An upload of a fill that nobody continues expires. Clean then removes the lease.
func TestCleanKeepsWhatCanBeContinued(t *testing.T) {
	blob := content(4, 1<<20)
	s := upstream(t, blob)
	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HangBody(500_000))
	d := memory.New(nil)
	old := &aged{Driver: d}
	r := newReplica(t, old, quick())
	r.open(t, request(blob, newSource(t, s)), 500_000)
	r.fills.Close()
	require.NoError(t, r.fills.Clean(t.Context()))
	require.Len(t, keys(t, d, "m/"), 1)
	old.by = 2 * time.Hour
	require.NoError(t, r.fills.Clean(t.Context()))
	require.Len(t, keys(t, d, "m/"), 1)
	for _, key := range keys(t, d, "u/") {
		require.NoError(t, d.Delete(t.Context(), key, ""))
	}
	require.NoError(t, r.fills.Clean(t.Context()))
	require.Empty(t, keys(t, d, "m/"))
}

func TestAnExpiredUploadBeginsAnew(t *testing.T) {
	blob := content(4, 1<<20)
	s := upstream(t, blob)
	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HangBody(500_000))
	d := memory.New(nil)
	r := newReplica(t, d, quick())
	r.open(t, request(blob, newSource(t, s)), 500_000)
	r.fills.Close()
	for _, key := range append(keys(t, d, "u/"), keys(t, d, "data/")...) {
		require.NoError(t, d.Delete(t.Context(), key, ""))
	}
	r = newReplica(t, d, quick())
	r.requireRead(t, request(blob, newSource(t, s)), blob)
	require.Zero(t, r.fills.Stats().Resumed)
	r.requireStored(t, d, blob)
}

// While the storage is full, readers get the bytes straight from the upstream: also those who had
// begun to read before.
func TestAFullStorageStoresNothing(t *testing.T) {
	for _, size := range []int{100, 100 << 10, 1 << 20} {
		blob := content(4, size)
		s := upstream(t, blob)
		d := memory.New(nil)
		full := &limited{Driver: d}
		var log bytes.Buffer
		o := quick()
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		r := newReplica(t, full, o)
		full.setLeft(300 << 10)
		if size < 1<<20 {
			full.setLeft(int64(min(size, 500)))
		}
		req := request(blob, newSource(t, s))
		r.requireRead(t, req, blob)
		part := request(blob, req.Source)
		part.Range = &registry.ByteRange{First: int64(size / 2), Length: -1}
		got, err := r.read(t.Context(), part, int64(size/2))
		require.NoError(t, err)
		require.True(t, bytes.Equal(blob[size/2:], got))
		r.requireNothing(t, blob)
		require.ErrorIs(t, r.fills.Wait(t.Context(), req), registry.ErrNoSpace)
		r.fills.Close()
		require.Contains(t, log.String(), "the storage is full")
		require.Empty(t, keys(t, d, "m/"), "size %d", size)
		require.Empty(t, keys(t, d, "data/"), "size %d", size)
	}
}

// Wrong content is not complete without a store either.
func TestAFullStorageVerifies(t *testing.T) {
	for _, size := range []int{100, 1 << 20} {
		blob := content(4, size)
		s := upstream(t, blob)
		full := &limited{Driver: memory.New(nil)}
		r := newReplica(t, full, quick())
		full.setLeft(0)
		for _, fault := range []upstreamtest.Fault{upstreamtest.Flip(size - 1), upstreamtest.Long(1)} {
			s.Repair()
			s.Break(upstreamtest.Match{}, fault)
			s.Break(upstreamtest.Match{}, upstreamtest.NoLength())
			src := newSource(t, s)
			got, err := r.read(t.Context(), request(blob, src), 0)
			require.Equal(t, 502, statusOf(err), "%v", err)
			require.LessOrEqual(t, len(got), max(0, size-64<<10))
			require.Error(t, src.blames(s.URL))
		}
		s.Repair()
		s.Break(upstreamtest.Match{Times: 1}, upstreamtest.Cut(int64(size/2)))
		r.requireRead(t, request(blob, newSource(t, s)), blob)
	}
}

func TestSmallPartsPassThrough(t *testing.T) {
	blob := content(4, 3<<20)
	s := upstream(t, blob)
	d := memory.New(nil)
	r := newReplica(t, d, nil)
	part := func(first, length int64) []byte {
		req := request(blob, newSource(t, s))
		req.Range = &registry.ByteRange{First: first, Length: length}
		b, err := r.fills.Open(t.Context(), req)
		require.NoError(t, err)
		defer b.Body.Close()
		require.EqualValues(t, len(blob), b.Descriptor.Size)
		if first < 0 {
			first = int64(len(blob)) - length
		}
		_, err = b.Body.Seek(first, io.SeekStart)
		require.NoError(t, err)
		got := make([]byte, length)
		_, err = io.ReadFull(b.Body, got)
		require.NoError(t, err)
		require.True(t, bytes.Equal(blob[first:first+length], got))
		return got
	}
	part(2<<20, 1000)
	part(-1, 64<<10)
	require.EqualValues(t, 1000+64<<10, r.fills.Stats().Direct)
	require.Zero(t, r.fills.Stats().Fills)
	require.Empty(t, keys(t, d, "m/"))
	part(0, 1000) // the first part of a client that reads everything in parts
	require.EqualValues(t, 1, r.fills.Stats().Fills)
	require.NoError(t, r.fills.Wait(t.Context(), request(blob, newSource(t, s))))
	r.requireStored(t, d, blob)

	s.Break(upstreamtest.Match{}, upstreamtest.NoRanges())
	d = memory.New(nil)
	r = newReplica(t, d, nil)
	part(2<<20, 1000)
	require.EqualValues(t, 1, r.fills.Stats().Fills)
}

// aged is a driver whose objects look older than they are.
type aged struct {
	storage.Driver
	by time.Duration
}
