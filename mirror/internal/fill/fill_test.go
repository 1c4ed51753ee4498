package fill_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/storage/memory"
)

// sizes are sizes of blobs around those at which something changes, with blocks of 64 KiB.
var sizes = []int{0, 1, 16 << 10, 16<<10 + 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 128 << 10, 1<<20 + 5}

func TestReadersGetTheBlob(t *testing.T) {
	for _, size := range sizes {
		for _, known := range []bool{true, false} {
			blob := content(1, size)
			s := upstream(t, blob)
			d := memory.New(nil)
			r := newReplica(t, d, quick())
			req := request(blob, newSource(t, s))
			if !known {
				req.Size = -1
			}
			r.requireRead(t, req, blob)
			require.NoError(t, r.fills.Wait(t.Context(), req))
			require.Equal(t, 1, s.Count("GET", upstreamtest.Blob), "size %d", size)
			r.requireStored(t, d, blob)
		}
	}
}

func TestAnUpstreamNeedNotStateTheSize(t *testing.T) {
	for _, size := range sizes {
		for _, known := range []bool{true, false} {
			blob := content(1, size)
			s := upstream(t, blob)
			s.Break(upstreamtest.Match{}, upstreamtest.NoLength())
			d := memory.New(nil)
			r := newReplica(t, d, quick())
			req := request(blob, newSource(t, s))
			if !known {
				req.Size = -1
			}
			r.requireRead(t, req, blob)
			r.requireStored(t, d, blob)
		}
	}
}

func TestManyReadersCauseOneRequest(t *testing.T) {
	blob := content(1, 3<<20+7)
	s := upstream(t, blob)
	s.Break(upstreamtest.Match{}, upstreamtest.Slow(256<<10, 1))
	d := memory.New(nil)
	r := newReplica(t, d, quick())
	src := newSource(t, s)
	var readers sync.WaitGroup
	for i := range 40 {
		readers.Go(func() {
			first := int64(len(blob)) * int64(i%8) / 8
			req := request(blob, src)
			if first > 0 {
				req.Range = &registry.ByteRange{First: first, Length: -1}
			}
			got, err := r.read(t.Context(), req, first)
			require.NoError(t, err)
			require.True(t, bytes.Equal(blob[first:], got))
		})
	}
	readers.Wait()
	require.NoError(t, r.fills.Wait(t.Context(), request(blob, src)))
	require.Equal(t, 1, s.Count("GET", upstreamtest.Blob))
	require.EqualValues(t, len(blob), r.fills.Stats().Bytes)
	require.Zero(t, r.fills.Stats().Readers)
	r.requireStored(t, d, blob)
}

func TestBytesComeBeforeABlockIsFull(t *testing.T) {
	blob := content(1, 200<<10)
	s := upstream(t, blob)
	more := make(chan struct{})
	s.Break(upstreamtest.Match{}, upstreamtest.HoldBody(10, more))
	r := newReplica(t, memory.New(nil), nil)
	b, err := r.fills.Open(t.Context(), request(blob, newSource(t, s)))
	require.NoError(t, err)
	defer b.Body.Close()
	first := make([]byte, 10)
	_, err = io.ReadFull(b.Body, first)
	require.NoError(t, err)
	require.Equal(t, blob[:10], first)
	close(more)
	rest, err := io.ReadAll(b.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(blob[10:], rest))
}

// The digests of the last bytes are checked before any reader gets them.
func TestWrongContentIsNeverComplete(t *testing.T) {
	for name, fault := range map[string]upstreamtest.Fault{
		"first byte": upstreamtest.Flip(0), "last byte": upstreamtest.Flip(299 << 10), "short": upstreamtest.Short(1),
		"long": upstreamtest.Long(1), "gzip": upstreamtest.Gzip(),
	} {
		for _, chunked := range []bool{false, true} {
			for _, known := range []bool{true, false} {
				blob := content(1, 300<<10)
				s := upstream(t, blob)
				s.Break(upstreamtest.Match{}, fault)
				if chunked {
					s.Break(upstreamtest.Match{}, upstreamtest.NoLength())
				}
				d := memory.New(nil)
				r := newReplica(t, d, quick())
				src := newSource(t, s)
				req := request(blob, src)
				if !known {
					req.Size = -1
				}
				got, err := r.read(t.Context(), req, 0)
				require.Error(t, err, name)
				require.Equal(t, http.StatusBadGateway, statusOf(err), "%s: %v", name, err)
				require.Less(t, len(got), len(blob)-32<<10, name)
				require.Error(t, src.blames(s.URL), name)
				r.fills.Close()
				r.requireNothing(t, blob)
				require.EqualValues(t, 1, r.fills.Stats().Wrong, name)
				require.Empty(t, keys(t, d, "m/"), name)
				require.Empty(t, keys(t, d, "data/"), name)
			}
		}
	}
}

func TestAnotherURLIsTriedAfterWrongContent(t *testing.T) {
	for _, size := range []int{1000, 300 << 10} {
		blob := content(1, size)
		bad, good := upstream(t, blob), upstream(t, blob)
		bad.Break(upstreamtest.Match{}, upstreamtest.Flip(3))
		d := memory.New(nil)
		r := newReplica(t, d, quick())
		src := newSource(t, bad, good)
		if size > 64<<10 { // the reader has got wrong bytes
			_, err := r.read(t.Context(), request(blob, src), 0)
			require.Error(t, err)
		}
		r.requireRead(t, request(blob, src), blob)
		require.Equal(t, 1, bad.Count("GET", upstreamtest.Blob))
		r.requireStored(t, d, blob)
	}
}

func TestErrorsOfTheFirstRequestAreThoseOfOpen(t *testing.T) {
	blob := content(1, 1000)
	for status, want := range map[int]error{
		404: registry.ErrBlobUnknown, 429: registry.ErrTooManyRequests, 500: registry.ErrUnavailable,
	} {
		s := upstream(t, blob)
		s.Break(upstreamtest.Match{}, upstreamtest.Status(status))
		d := memory.New(nil)
		r := newReplica(t, d, quick())
		_, err := r.fills.Open(t.Context(), request(blob, newSource(t, s)))
		require.ErrorIs(t, err, want)
		require.Equal(t, 1, s.Count("GET", upstreamtest.Blob))
		require.ErrorIs(t, r.fills.Wait(t.Context(), request(blob, newSource(t, s))), want)
		r.fills.Close()
		require.Empty(t, keys(t, d, "m/"))
	}
}

func TestABrokenConnectionIsContinued(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		blob := content(1, 1<<20)
		s := upstream(t, blob)
		for i := range 5 {
			s.Break(upstreamtest.Match{Skip: i, Times: 1}, upstreamtest.Cut(100_000))
		}
		if !ranges {
			s.Repair()
			s.Break(upstreamtest.Match{}, upstreamtest.NoRanges())
			s.Break(upstreamtest.Match{Times: 1}, upstreamtest.Cut(300_000))
		}
		d := memory.New(nil)
		r := newReplica(t, d, quick())
		r.requireRead(t, request(blob, newSource(t, s)), blob)
		if ranges {
			require.Equal(t, 6, s.Count("GET", upstreamtest.Blob))
		}
		require.EqualValues(t, len(blob), r.fills.Stats().Bytes)
		r.requireStored(t, d, blob)
	}
}

func statusOf(err error) int {
	if e := (*registry.Error)(nil); errors.As(err, &e) {
		return e.Status()
	}
	return 0
}
