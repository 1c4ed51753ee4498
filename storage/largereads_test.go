package storage_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// slowReads is a driver whose objects take 20 ms to read. It counts how many are read at a time.
type slowReads struct {
	driver.Driver
	now, most atomic.Int64
}

func (d *slowReads) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	r, info, err := d.Driver.Open(ctx, key, opts)
	return &slowRead{ReadCloser: r, d: d}, info, err
}

type slowRead struct {
	io.ReadCloser
	d    *slowReads
	once sync.Once
}

func (r *slowRead) Read(p []byte) (int, error) {
	r.once.Do(func() {
		now := r.d.now.Add(1)
		defer r.d.now.Add(-1)
		for most := r.d.most.Load(); now > most && !r.d.most.CompareAndSwap(most, now); most = r.d.most.Load() {
		}
		time.Sleep(20 * time.Millisecond)
	})
	return r.ReadCloser.Read(p)
}

// TestLargeManifestsAreReadFewAtATime checks that concurrent requests for large manifests hold
// at most 64 MiB of them in memory while reading.
func TestLargeManifestsAreReadFewAtATime(t *testing.T) {
	d := &slowReads{Driver: newMemory(t)}
	store := newStore(t, d, &storage.Options{Sparse: true})
	content := `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex +
		`","manifests":[],"annotations":{"a":"` + strings.Repeat("x", 4<<20-2000) + `"}}`
	_, err := store.PutManifest(t.Context(), "a", ocispec.MediaTypeImageIndex, []byte(content), &registry.PutOptions{})
	require.NoError(t, err)
	d.most.Store(0)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			m, err := store.GetManifest(t.Context(), "a", reference.Ref{Digest: digest.FromString(content)})
			if err != nil || string(m.Content) != content {
				t.Error("the content is not what was pushed", err)
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, d.most.Load(), int64(16))
}
