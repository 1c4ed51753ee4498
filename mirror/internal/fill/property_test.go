package fill_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/upstreamtest"
	"github.com/registrykit/registry/mirror/internal/fill"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestWhateverHappens lets readers of three replicas read one blob, while connections break, the
// upstream fails or sends wrong bytes, writes are lost, and replicas are killed. Every byte that a
// reader gets is right, unless the upstream sends wrong ones; then no reader gets the end. The store
// has the right blob at the end, or nothing.
func TestWhateverHappens(t *testing.T) {
	seeds := uint64(20)
	if os.Getenv("REGISTRY_FULL") != "" {
		seeds = 500
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newChaos(t, seed).run(t) })
		})
	}
}

// chaosBlock is the size of the blocks in TestWhateverHappens.
const chaosBlock = 64 << 10

// chaos is one run of TestWhateverHappens.
type chaos struct {
	rand   *rand.Rand
	blob   []byte
	d      driver.Driver
	up     *upstreamtest.Server
	client *http.Client
	wrong  bool // the upstream sends wrong bytes at first

	mu       sync.Mutex
	replicas []*victim
	all      []*victim // also those that were killed
}

// victim is a replica that can be killed.
type victim struct {
	*replica
	storage *drivertest.Faulty
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{rand: rand.New(rand.NewPCG(seed, 1)), d: memory.New(nil)}
	c.blob = content(seed, 1+c.rand.IntN(600<<10))
	c.up = upstreamtest.NewInMemory(t, "upstream")
	c.up.Blob("library/alpine", c.blob)
	c.client = &http.Client{Transport: upstreamtest.Transport(t, c.up)}
	c.wrong = seed%5 == 4
	for range 3 {
		v := c.start(t)
		c.replicas = append(c.replicas, v)
	}
	return c
}

// start starts a replica.
func (c *chaos) start(t *testing.T) *victim {
	v := &victim{storage: drivertest.NewFaulty(c.d, &drivertest.FaultyOptions{
		Before: func(context.Context, drivertest.Call) error {
			time.Sleep(time.Millisecond)
			return nil
		},
	})}
	v.replica = newReplica(t, v.storage, &fill.Options{Block: chaosBlock, Direct: -1})
	c.all = append(c.all, v)
	return v
}

// spoil makes the upstream misbehave.
func (c *chaos) spoil() {
	c.up.Break(upstreamtest.Match{}, upstreamtest.Slow(16<<10, time.Duration(20+c.rand.IntN(100))*time.Millisecond))
	for range c.rand.IntN(4) {
		m := upstreamtest.Match{Skip: c.rand.IntN(4), Times: 1}
		at := int64(c.rand.IntN(len(c.blob)))
		c.up.Break(m, []upstreamtest.Fault{
			upstreamtest.Cut(at), upstreamtest.Status(503), upstreamtest.NoRanges(), upstreamtest.NoLength(),
			upstreamtest.Delay(time.Second),
		}[c.rand.IntN(5)])
	}
	if c.wrong {
		c.up.Break(upstreamtest.Match{Times: 1 + c.rand.IntN(2)}, []upstreamtest.Fault{
			upstreamtest.Flip(c.rand.IntN(len(c.blob))), upstreamtest.Long(1), upstreamtest.Short(1),
		}[c.rand.IntN(3)])
	}
}

// run lets everything happen, and checks what is left.
func (c *chaos) run(t *testing.T) {
	c.spoil()
	var readers sync.WaitGroup
	for range 12 {
		i, first := c.rand.IntN(3), int64(c.rand.IntN(len(c.blob)))
		if c.rand.IntN(2) == 0 {
			first = 0
		}
		after, rate := time.Duration(c.rand.IntN(2000))*time.Millisecond, time.Duration(c.rand.IntN(20))*time.Millisecond
		readers.Go(func() {
			time.Sleep(after)
			c.read(t, i, first, rate)
		})
	}
	ends := 0 // of replicas, by a kill or after a lost response
	for range c.rand.IntN(4) {
		time.Sleep(time.Duration(c.rand.IntN(1500)) * time.Millisecond)
		ends++
		i, successor := c.rand.IntN(3), c.start(t) // not while mu is held: time would stand still
		c.mu.Lock()
		v := c.replicas[i]
		c.replicas[i] = successor
		c.mu.Unlock()
		if c.rand.IntN(3) == 0 {
			v.storage.LoseResponse(1 + c.rand.IntN(3))
		} else {
			v.storage.CutAfter(c.rand.IntN(2))
		}
		time.Sleep(time.Millisecond)
		v.fills.Close()
	}
	readers.Wait()
	c.up.Repair()
	last := c.start(t)
	src := c.source()
	last.requireRead(t, request(c.blob, src), c.blob)
	require.NoError(t, last.fills.Wait(t.Context(), request(c.blob, src)))
	for _, v := range c.all {
		v.fills.Close()
	}
	fetched := int64(0)
	for _, v := range c.all {
		fetched += v.fills.Stats().Bytes
	}
	t.Logf("%d bytes, %d fetched, %d ends, %d requests", len(c.blob), fetched, ends,
		c.up.Count("GET", upstreamtest.Blob))
	if !c.wrong {
		require.LessOrEqual(t, fetched, int64(len(c.blob)+ends*2*chaosBlock), "two blocks for each end")
	}
	last.requireStored(t, c.d, c.blob)
}

func (c *chaos) source() *source {
	return &source{client: c.client, urls: []string{c.up.URL}, blamed: map[string]error{}}
}

// read reads the blob from first on, as a client does that begins again after an error.
func (c *chaos) read(t *testing.T, i int, first int64, pause time.Duration) {
	var got []byte
	for range 20 {
		c.mu.Lock()
		v := c.replicas[i]
		c.mu.Unlock()
		part, err := c.readOnce(t, v, first+int64(len(got)), pause)
		got = append(got, part...)
		want := c.blob[first:min(int64(len(c.blob)), first+int64(len(got)))]
		if err == nil {
			require.True(t, c.wrong && len(got) > len(part) || bytes.Equal(c.blob[first:], got), "a wrong end")
			return
		}
		if c.wrong && !bytes.Equal(want, got) {
			return // the client would find out by the digest
		}
		require.True(t, bytes.Equal(want, got), "wrong bytes after %v", err)
		time.Sleep(200 * time.Millisecond)
	}
}

// readOnce reads up to an error or the end. It returns what came before an error.
func (c *chaos) readOnce(t *testing.T, v *victim, first int64, pause time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	req := request(c.blob, c.source())
	req.Range = &registry.ByteRange{First: first, Length: -1}
	b, err := v.store.OpenBlob(ctx, req.Repository, req.Digest, nil)
	if err != nil {
		b, err = v.fills.Open(ctx, req)
	}
	if err != nil {
		return nil, err
	}
	defer b.Body.Close()
	if _, err := b.Body.Seek(first, io.SeekStart); err != nil {
		return nil, err
	}
	var got []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := b.Body.Read(buf)
		got = append(got, buf[:n]...)
		if err == io.EOF {
			return got, nil
		}
		if err != nil {
			require.NoError(t, ctx.Err(), "a reader has waited for ever")
			return got, err
		}
		time.Sleep(pause)
	}
}
