package fill_test

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// patient are options with blocks that need several seconds of a slow upstream.
func patient() *fill.Options { return &fill.Options{Lease: time.Second} }

func TestReplicasCauseOneRequest(t *testing.T) {
	for _, size := range sizes {
		blob := content(2, size)
		s := upstream(t, blob)
		s.Break(upstreamtest.Match{}, upstreamtest.Delay(20*time.Millisecond))
		d := memory.New(nil)
		src := newSource(t, s)
		var readers sync.WaitGroup
		replicas := []*replica{newReplica(t, d, quick()), newReplica(t, d, quick()), newReplica(t, d, quick())}
		for i, r := range replicas {
			readers.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				req := request(blob, src)
				if i == 2 {
					req.Size = -1
				}
				got, err := r.read(t.Context(), req, 0)
				require.NoError(t, err)
				require.True(t, bytes.Equal(blob, got))
			})
		}
		readers.Wait()
		require.Equal(t, 1, s.Count("GET", upstreamtest.Blob), "size %d", size)
		for _, r := range replicas {
			r.requireStored(t, d, blob)
		}
	}
}

// A replica sends what another one has received, long before the blob is whole.
func TestAReplicaFollowsAnother(t *testing.T) {
	blob := content(2, 300<<10)
	s := upstream(t, blob)
	more := make(chan struct{})
	s.Break(upstreamtest.Match{}, upstreamtest.HoldBody(100_000, more))
	d := memory.New(nil)
	one, two := newReplica(t, d, patient()), newReplica(t, d, patient())
	src := newSource(t, s)
	first, err := one.fills.Open(t.Context(), request(blob, src))
	require.NoError(t, err)
	defer first.Body.Close()
	second, err := two.fills.Open(t.Context(), request(blob, src))
	require.NoError(t, err)
	defer second.Body.Close()
	part := make([]byte, 100_000)
	_, err = io.ReadFull(second.Body, part)
	require.NoError(t, err)
	require.True(t, bytes.Equal(blob[:100_000], part))
	close(more)
	rest, err := io.ReadAll(second.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(blob[100_000:], rest))
	require.Equal(t, 1, s.Count("GET", upstreamtest.Blob))
	one.requireStored(t, d, blob)
}

// After a kill -9, another replica goes on with what has come.
func TestADeadReplicaIsReplaced(t *testing.T) {
	blob := content(2, 1<<20)
	s := upstream(t, blob)
	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HangBody(500_000))
	d := memory.New(nil)
	dying := drivertest.NewFaulty(d, nil)
	one, two := newReplica(t, dying, quick()), newReplica(t, d, quick())
	src := newSource(t, s)
	first, err := one.fills.Open(t.Context(), request(blob, src))
	require.NoError(t, err)
	defer first.Body.Close()
	_, err = io.ReadFull(first.Body, make([]byte, 500_000))
	require.NoError(t, err)
	dying.CutAfter(0)

	two.requireRead(t, request(blob, src), blob)
	require.EqualValues(t, 1, two.fills.Stats().Resumed)
	// The block that was being received is fetched again, and so is the one that was being appended.
	require.LessOrEqual(t, two.fills.Stats().Bytes, int64(len(blob)-500_000+2*64<<10))
	two.requireStored(t, d, blob)
}

// A replica that was only slow finds that another one has taken its lease, and follows that one.
func TestASlowReplicaFollowsItsSuccessor(t *testing.T) {
	blob := content(2, 1<<20)
	s := upstream(t, blob)
	more := make(chan struct{})
	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HoldBody(500_000, more))
	d := memory.New(nil)
	stall := make(chan struct{})
	slow := drivertest.NewFaulty(d, &drivertest.FaultyOptions{Before: func(ctx context.Context, c drivertest.Call) error {
		if c.Op == "Put" && len(c.Key) > 4 && c.Key[:4] == "m/f/" && c.Write > 3 {
			<-stall
		}
		return nil
	}})
	one, two := newReplica(t, slow, quick()), newReplica(t, d, quick())
	src := newSource(t, s)
	first, err := one.fills.Open(t.Context(), request(blob, src))
	require.NoError(t, err)
	defer first.Body.Close()
	release := sync.OnceFunc(func() { close(more); close(stall) })
	t.Cleanup(release) // before the replicas are closed
	// The slow replica may still append, and then a reader must begin again.
	require.Eventually(t, func() bool {
		got, err := two.read(t.Context(), request(blob, src), 0)
		return err == nil && bytes.Equal(blob, got)
	}, 30*time.Second, 10*time.Millisecond)
	release()
	got, err := io.ReadAll(first.Body)
	require.NoError(t, err)
	require.True(t, bytes.Equal(blob, got))
	two.requireStored(t, d, blob)
	one.fills.Close()
	require.Empty(t, keys(t, d, "m/"))
}

func TestARestartGoesOn(t *testing.T) {
	blob := content(2, 1<<20)
	s := upstream(t, blob)
	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HangBody(500_000))
	d := memory.New(nil)
	one := newReplica(t, d, nil)
	src := newSource(t, s)
	b, err := one.fills.Open(t.Context(), request(blob, src))
	require.NoError(t, err)
	defer b.Body.Close()
	_, err = io.ReadFull(b.Body, make([]byte, 500_000))
	require.NoError(t, err)
	one.fills.Close()
	_, err = io.ReadAll(b.Body)
	require.ErrorIs(t, err, registry.ErrUnavailable)
	_, err = one.fills.Open(t.Context(), request(blob, src))
	require.ErrorIs(t, err, registry.ErrUnavailable)
	require.Len(t, keys(t, d, "m/"), 1)

	two := newReplica(t, d, nil)
	two.requireRead(t, request(blob, src), blob)
	require.EqualValues(t, len(blob)-500_000, two.fills.Stats().Bytes, "nothing is fetched twice")
	two.requireStored(t, d, blob)
}

// A replica that sees no progress although the lease lives gets the bytes itself.
func TestAReplicaDoesNotWaitForEver(t *testing.T) {
	blob := content(2, 300<<10)
	s := upstream(t, blob)
	s.Break(upstreamtest.Match{Times: 1}, upstreamtest.HangBody(0))
	d := memory.New(nil)
	one := newReplica(t, d, nil)
	opts := quick()
	opts.Lease, opts.Wait = time.Minute, 100*time.Millisecond
	two := newReplica(t, d, opts)
	src := newSource(t, s)
	b, err := one.fills.Open(t.Context(), request(blob, src))
	require.NoError(t, err)
	defer b.Body.Close()
	two.requireRead(t, request(blob, src), blob)
	require.EqualValues(t, len(blob), two.fills.Stats().Direct)
	two.requireNothing(t, blob)
}

func TestOtherContentEndsAFill(t *testing.T) {
	blob, other := content(2, 1<<20), content(3, 1<<20)
	for name, fault := range map[string]upstreamtest.Fault{
		"length": upstreamtest.Long(1), "entity tag": upstreamtest.ETag(`"other"`),
	} {
		s := upstream(t, blob)
		s.Break(upstreamtest.Match{Times: 1}, upstreamtest.Cut(500_000))
		s.Break(upstreamtest.Match{Skip: 1}, upstreamtest.Replace(other))
		s.Break(upstreamtest.Match{Skip: 1}, fault)
		d := memory.New(nil)
		r := newReplica(t, d, quick())
		_, err := r.read(t.Context(), request(blob, newSource(t, s)), 0)
		require.ErrorIs(t, err, fill.ErrChanged, name)
		r.fills.Close()
		r.requireNothing(t, blob)
		require.Empty(t, keys(t, d, "m/"))
		require.Empty(t, keys(t, d, "data/"))
	}
}
