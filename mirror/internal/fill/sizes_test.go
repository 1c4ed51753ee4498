package fill_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// requireNotWhole requires that a request with a wrong size gets no complete response.
func requireNotWhole(t testing.TB, b *registry.Blob, err error) {
	t.Helper()
	if err != nil {
		return
	}
	defer b.Body.Close()
	n, err := io.Copy(io.Discard, b.Body)
	require.False(t, err == nil && n == b.Descriptor.Size, "%d bytes look like the whole blob", n)
}

// A manifest may state a wrong size. A reader that believes it gets an error, and not a part of the
// blob as if that were all of it, wherever the blob comes from.
func TestAWrongSizeIsNeverComplete(t *testing.T) {
	const size = 300_000
	blob := content(3, size)
	for _, wrong := range []int64{1, 1000, size - 100_000, size - 1, size + 1} {
		t.Run("followed", func(t *testing.T) {
			s := upstream(t, blob)
			more := make(chan struct{})
			s.Break(upstreamtest.Match{}, upstreamtest.HoldBody(200_000, more))
			d := memory.New(nil)
			one, two := newReplica(t, d, quick()), newReplica(t, d, quick())
			src := newSource(t, s)
			first, err := one.fills.Open(t.Context(), request(blob, src))
			require.NoError(t, err)
			defer first.Body.Close()
			req := request(blob, src)
			req.Size = wrong
			done := make(chan struct{})
			go func() {
				defer close(done)
				b, err := two.fills.Open(t.Context(), req)
				requireNotWhole(t, b, err)
			}()
			_, err = io.ReadFull(first.Body, make([]byte, 150_000))
			require.NoError(t, err)
			close(more)
			_, err = io.Copy(io.Discard, first.Body)
			require.NoError(t, err)
			<-done
			one.requireStored(t, d, blob)
		})
		t.Run("stored meanwhile", func(t *testing.T) {
			s := upstream(t, blob)
			r := newReplica(t, memory.New(nil), quick())
			src := newSource(t, s)
			r.requireRead(t, request(blob, src), blob)
			require.Eventually(t, func() bool { return r.fills.Stats().Active == 0 }, 5*time.Second, time.Millisecond)
			req := request(blob, src)
			req.Size = wrong
			b, err := r.fills.Open(t.Context(), req)
			requireNotWhole(t, b, err)
			require.Equal(t, 1, s.Count("GET", upstreamtest.Blob))
		})
		t.Run("resumed", func(t *testing.T) {
			s := upstream(t, blob)
			d := memory.New(nil)
			dying := drivertest.NewFaulty(d, nil)
			one, two := newReplica(t, dying, quick()), newReplica(t, d, quick())
			src := newSource(t, s)
			first, err := one.fills.Open(t.Context(), request(blob, src))
			require.NoError(t, err)
			defer first.Body.Close()
			_, err = io.ReadFull(first.Body, make([]byte, 200_000))
			require.NoError(t, err)
			dying.CutAfter(0)
			req := request(blob, src)
			req.Size = wrong
			b, err := two.fills.Open(t.Context(), req)
			if err == nil || !errors.Is(err, registry.ErrUnavailable) {
				requireNotWhole(t, b, err)
			}
		})
	}
}

// A manifest may state that a blob is empty. A reader of an empty blob is at its end at once.
func TestABlobIsNotEmptyBecauseAManifestSaysSo(t *testing.T) {
	blob := content(3, 1000)
	for name, full := range map[string]bool{"filled": false, "not stored": true} {
		t.Run(name, func(t *testing.T) {
			s := upstream(t, blob)
			s.Break(upstreamtest.Match{}, upstreamtest.NoLength())
			d := &limited{Driver: memory.New(nil)}
			r := newReplica(t, d, quick())
			d.setLeft(1 << 20)
			if full {
				d.setLeft(0)
			}
			src := newSource(t, s)
			req := request(blob, src)
			req.Size = 0
			b, err := r.fills.Open(t.Context(), req)
			requireNotWhole(t, b, err)
		})
	}
}

// A reader from some position to the end gets no wrong end either if the storage fills up while it
// reads: what was before its position, what it has got, and what comes must be the blob together.
func TestARangeIsVerifiedWhenTheStorageFillsUp(t *testing.T) {
	const size, first = 1 << 20, 100_000
	blob := content(3, size)
	for name, row := range map[string]struct {
		early, late upstreamtest.Fault // of the first response, and of the following
		right       bool
	}{
		"right":                   {nil, nil, true},
		"the end is wrong":        {nil, upstreamtest.Flip(size - 1), false},
		"the middle is wrong":     {nil, upstreamtest.Flip(size / 2), false},
		"what was read was wrong": {upstreamtest.Flip(first + 10), nil, false},
		"all is wrong":            {upstreamtest.Flip(first + 10), upstreamtest.Flip(first + 10), false},
	} {
		for _, until := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				s := upstream(t, blob)
				more := make(chan struct{})
				s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HoldBody(300_000, more))
				if row.early != nil {
					s.Break(upstreamtest.Match{Times: 1}, row.early)
				}
				if row.late != nil {
					s.Break(upstreamtest.Match{Skip: 1}, row.late)
				}
				full := &limited{Driver: memory.New(nil)}
				r := newReplica(t, full, quick())
				req := request(blob, newSource(t, s))
				req.Range = &registry.ByteRange{First: first, Length: -1}
				b, err := r.fills.Open(t.Context(), req)
				require.NoError(t, err)
				defer b.Body.Close()
				_, err = b.Body.Seek(first, io.SeekStart)
				require.NoError(t, err)
				if until {
					b.Body.(interface{ Until(end int64) }).Until(size)
				}
				got := make([]byte, 50_000)
				_, err = io.ReadFull(b.Body, got)
				require.NoError(t, err)
				full.setLeft(0)
				close(more)
				rest, err := io.ReadAll(b.Body)
				if row.right {
					require.NoError(t, err)
					require.True(t, bytes.Equal(blob[first:], append(got, rest...)))
					return
				}
				require.Error(t, err, "%d bytes", len(rest))
				require.Less(t, len(got)+len(rest), size-first)
			})
		}
	}
}

// TestTooManyUploads: the store limits the unfinished uploads of all fills together. A client that begins
// fills and leaves does not keep others from their blobs.
func TestTooManyUploads(t *testing.T) {
	d := memory.New(nil)
	store, err := storage.New(t.Context(), d, &storage.Options{MaxUploads: 1})
	require.NoError(t, err)
	r := &replica{store, fill.New(store, d, quick())}
	defer r.fills.Close()
	left, blob := content(3, 1<<20), content(4, 1<<20)
	s := upstream(t, left)
	s.Blob("library/alpine", blob)
	s.Break(upstreamtest.Match{Ref: string(digest.FromBytes(left))}, upstreamtest.HangBody(500_000))
	src := newSource(t, s)
	b, err := r.fills.Open(t.Context(), request(left, src))
	require.NoError(t, err)
	defer b.Body.Close()
	_, err = io.ReadFull(b.Body, make([]byte, 500_000))
	require.NoError(t, err)
	for range 2 {
		r.requireRead(t, request(blob, src), blob)
	}
	require.ErrorIs(t, r.fills.Wait(t.Context(), request(blob, src)), registry.ErrUnavailable)
}

// TestTheFirstURLIsToBlame: after wrong content from several URLs, those that may be right are asked again.
func TestTheFirstURLIsToBlame(t *testing.T) {
	blob := content(3, 300_000)
	for name, full := range map[string]bool{"filled": false, "not stored": true} {
		t.Run(name, func(t *testing.T) {
			bad, good := upstream(t, blob), upstream(t, blob)
			bad.Break(upstreamtest.Match{}, upstreamtest.Flip(10))
			bad.Break(upstreamtest.Match{Times: 1}, upstreamtest.Cut(100_000))
			bad.Break(upstreamtest.Match{Skip: 1}, upstreamtest.Status(503))
			d := &limited{Driver: memory.New(nil)}
			r := newReplica(t, d, quick())
			if full {
				d.setLeft(0)
			}
			src := newSource(t, bad, good)
			_, err := r.read(t.Context(), request(blob, src), 0)
			require.Error(t, err)
			require.Error(t, src.blames(bad.URL))
			require.NoError(t, src.blames(good.URL))
			bad.Repair()
			bad.Break(upstreamtest.Match{}, upstreamtest.Flip(10))
			require.Eventually(t, func() bool { return r.fills.Stats().Active == 0 }, 5*time.Second, time.Millisecond)
			r.requireRead(t, request(blob, src), blob)
		})
	}
}
