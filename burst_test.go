package registry_test

import (
	"context"
	"runtime"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// burst is the number of streams that one HTTP/2 connection may have.
const burst = 250

// diskStore returns a store on disk with different large manifests, and the paths of these
// manifests.
func diskStore(t *testing.T, manifests int) (store *storage.Store, paths []string) {
	driver, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	store, err = storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	for n := range manifests {
		paths = append(paths, "/v2/a/manifests/"+string(largeManifest(t, store, n).Descriptor.Digest))
	}
	return store, paths
}

// dialBurst serves a registry to a client that reads no body and stays connected for 10 minutes.
func dialBurst(t *testing.T, reg *registry.Registry) *frames {
	f := dialFrames(t, serveSmall(t, reg))
	require.NoError(t, f.conn.SetDeadline(time.Now().Add(10*time.Minute)))
	return f
}

// slowIntercept is a Backend that holds manifests while the gate is closed, like a slow
// interceptor.
type slowIntercept struct {
	registry.Backend
	gate          chan struct{}
	asked, parked atomic.Int64
}

func (b *slowIntercept) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	b.asked.Add(1)
	m, err := b.Backend.GetManifest(ctx, repo, ref)
	b.parked.Add(1)
	<-b.gate
	return m, err
}

// TestBurstOfLargeManifests: of 250 requests for manifests of 4 MiB, at most 64 MiB are between the
// storage and the response. The other requests wait, and succeed although the client reads nothing.
func TestBurstOfLargeManifests(t *testing.T) {
	store, paths := diskStore(t, 1)
	backend := &slowIntercept{Backend: store, gate: make(chan struct{})}
	reg, err := registry.New(backend, &registry.Options{BodyTimeout: time.Hour})
	require.NoError(t, err)
	f := dialBurst(t, reg)
	for range burst {
		f.request("GET", paths[0])
	}
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if backend.asked.Load() == burst && backend.parked.Load() >= 16 {
			break
		}
	}
	time.Sleep(300 * time.Millisecond) // gives requests that do not wait the time to arrive
	parked := backend.parked.Load()
	close(backend.gate)
	require.EqualValues(t, 16, parked)
	for range burst {
		kind, _, _ := f.read()
		require.EqualValues(t, frameHeaders, kind)
	}
}

// TestBurstOfSmallManifests: requests for small manifests do not wait for each other.
func TestBurstOfSmallManifests(t *testing.T) {
	store, _ := diskStore(t, 0)
	pushed := paddedManifest(t, store, 0, 10).Descriptor
	backend := &slowIntercept{Backend: store, gate: make(chan struct{})}
	reg, err := registry.New(backend, nil)
	require.NoError(t, err)
	f := dialBurst(t, reg)
	for range burst {
		f.request("GET", "/v2/a/manifests/"+string(pushed.Digest))
	}
	for end := time.Now().Add(5 * time.Minute); backend.parked.Load() < burst && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	parked := backend.parked.Load()
	close(backend.gate)
	require.EqualValues(t, burst, parked)
}

// TestBurstOfLargeManifestsMemoryIsBounded: 250 concurrent requests for manifests of 4 MiB take at
// most 64 MiB in the storage and 64 MiB in responses. This holds for one manifest and for many. The
// bound does not include garbage of the measurement.
func TestBurstOfLargeManifestsMemoryIsBounded(t *testing.T) {
	store, all := diskStore(t, 20)
	for name, paths := range map[string][]string{"one": all[:1], "many": all} {
		t.Run(name, func(t *testing.T) {
			reg, err := registry.New(store, &registry.Options{BodyTimeout: time.Hour})
			require.NoError(t, err)
			f := dialBurst(t, reg)
			before := live()
			stop, peak := make(chan struct{}), make(chan int64)
			go func() {
				most := int64(0)
				for {
					select {
					case <-stop:
						peak <- most
						return
					case <-time.After(time.Millisecond):
						most = max(most, live())
					}
				}
			}()
			for i := range burst {
				f.request("GET", paths[i%len(paths)])
			}
			for answered := map[uint32]bool{}; len(answered) < burst; {
				_, _, stream := f.read()
				answered[stream] = true // with a header or an aborted stream
			}
			close(stop)
			most := <-peak - before
			t.Logf("%d MiB", most>>20)
			require.Less(t, most, int64(320<<20))
		})
	}
}

// live returns the number of bytes that a garbage collection finds in use.
func live() int64 {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
