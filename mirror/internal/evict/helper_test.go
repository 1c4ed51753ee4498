package evict

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// world is a store with mirrored repositories, and the pull times of one replica.
type world struct {
	t      *testing.T
	driver driver.Driver
	store  *storage.Store
	pulls  *pulltime.Recorder
}

// newWorld returns a world on a driver.
func newWorld(t *testing.T, d driver.Driver) *world {
	t.Helper()
	s, err := storage.New(t.Context(), d, &storage.Options{Sparse: true})
	require.NoError(t, err)
	p, err := pulltime.New(d, &pulltime.Options{Replica: "test"})
	require.NoError(t, err)
	return &world{t: t, driver: d, store: s, pulls: p}
}

// onDrivers runs a test on each native driver.
func onDrivers(t *testing.T, test func(t *testing.T, d driver.Driver)) {
	t.Run("memory", func(t *testing.T) { test(t, memory.New(nil)) })
	t.Run("disk", func(t *testing.T) {
		d, err := disk.New(t.TempDir(), nil)
		require.NoError(t, err)
		test(t, d)
	})
}

// evictor returns an Evictor of the repositories below "hub" without a minimum age.
func (w *world) evictor(maxSize int64, change ...func(*Options)) *Evictor {
	w.t.Helper()
	o := &Options{Prefixes: []string{"hub"}, MaxSize: maxSize, MinAge: -1}
	for _, f := range change {
		f(o)
	}
	e, err := New(w.store, w.driver, w.pulls, o)
	require.NoError(w.t, err)
	return e
}

// evict runs an Evictor once.
func (w *world) evict(maxSize int64, change ...func(*Options)) *Report {
	w.t.Helper()
	r, err := w.evictor(maxSize, change...).Evict(w.t.Context())
	require.NoError(w.t, err)
	return r
}

// push pushes content, as a mirror would have fetched it.
func (w *world) push(repo string, c *registrytest.Content, tags ...string) {
	w.t.Helper()
	require.NoError(w.t, c.Push(w.t.Context(), w.store, repo, tags...))
}

// put pushes a manifest alone.
func (w *world) put(repo string, c *registrytest.Content, tags ...string) {
	w.t.Helper()
	opts := &registry.PutOptions{}
	for _, tag := range tags {
		opts.Tags = append(opts.Tags, registry.TagPut{Name: tag})
	}
	_, err := w.store.PutManifest(w.t.Context(), repo, c.Descriptor.MediaType, c.Manifest, opts)
	require.NoError(w.t, err)
}

// blob pushes a blob alone.
func (w *world) blob(repo string, content []byte) digest.Digest {
	w.t.Helper()
	d := digest.FromBytes(content)
	_, err := registry.PushBlob(w.t.Context(), w.store, repo, d, bytes.NewReader(content))
	require.NoError(w.t, err)
	return d
}

// has reports whether a repository has a manifest.
func (w *world) has(repo string, c *registrytest.Content) bool {
	w.t.Helper()
	_, err := w.store.GetManifest(w.t.Context(), repo, reference.Ref{Digest: c.Descriptor.Digest})
	if err != nil {
		require.ErrorIs(w.t, err, registry.ErrManifestUnknown)
	}
	return err == nil
}

// requireOnly requires that of several manifests, a repository has those of which the letter in
// want is "x", with all their blobs, and no blob of the others.
func (w *world) requireOnly(repo, want string, contents ...*registrytest.Content) {
	w.t.Helper()
	got := strings.Builder{}
	blobs := map[digest.Digest]bool{}
	for _, c := range contents {
		there := w.has(repo, c)
		got.WriteString(map[bool]string{true: "x", false: "-"}[there])
		for _, b := range c.Blobs {
			blobs[digest.FromBytes(b)] = blobs[digest.FromBytes(b)] || there
		}
	}
	require.Equal(w.t, want, got.String())
	for d, needed := range blobs {
		_, err := w.store.StatBlob(w.t.Context(), repo, d, nil)
		if needed {
			require.NoError(w.t, err)
			continue
		}
		require.ErrorIs(w.t, err, registry.ErrBlobUnknown)
	}
}

// dataBytes returns the bytes of the data objects in the driver.
func dataBytes(t *testing.T, d driver.Driver) int64 {
	t.Helper()
	var n int64
	for info, err := range d.List(t.Context(), "data/", nil) {
		require.NoError(t, err)
		n += info.Size
	}
	return n
}

// images returns images that share nothing, of a layer of 100,000 bytes each. A config adds about
// 100.
func images(n int) []*registrytest.Content {
	all := make([]*registrytest.Content, n)
	for i := range all {
		all[i] = registrytest.RandomImage(uint64(1000*(i+1)), 1, layer)
	}
	return all
}

const layer = 100_000

// limit returns a size that some images fit in, and the next one does not.
func limit(n int) int64 { return int64(n)*layer + layer/2 }

// exactly sets the target to the maximum size.
func exactly(o *Options) { o.Target = o.MaxSize }

// tagOf returns the tag of the image i.
func tagOf(i int) string { return fmt.Sprintf("v%d", i) }

// background returns a context that does not end with the test.
func background(t *testing.T) context.Context { return context.WithoutCancel(t.Context()) }

// age lets time pass, in a synctest bubble.
func age(d time.Duration) { time.Sleep(d) }

func newReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }

func readAll(r io.Reader) ([]byte, error) { return io.ReadAll(r) }

func refOf(c *registrytest.Content) reference.Ref { return reference.Ref{Digest: c.Descriptor.Digest} }
