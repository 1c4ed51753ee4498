package storage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// newMemory returns a memory driver without a bound.
func newMemory(t testing.TB) driver.Driver { return newBounded(t, 0) }

// newBounded returns a memory driver that is full at that many bytes. 0 means no bound.
func newBounded(t testing.TB, bytes int64) driver.Driver {
	d := memory.New(&memory.Options{MaxBytes: bytes})
	return d
}

// onDrivers runs a test on each native driver.
func onDrivers(t *testing.T, test func(t *testing.T, d driver.Driver)) {
	onDriversWith(t, nil, test)
}

// onDriversWith runs a test on each native driver, on disk with options.
func onDriversWith(t *testing.T, opts *disk.Options, test func(t *testing.T, d driver.Driver)) {
	t.Run("memory", func(t *testing.T) { test(t, newMemory(t)) })
	t.Run("disk", func(t *testing.T) {
		d, err := disk.New(t.TempDir(), opts)
		require.NoError(t, err)
		test(t, d)
	})
}

// newStore returns a Store on a driver.
func newStore(t testing.TB, d driver.Driver, opts *storage.Options) *storage.Store {
	s, err := storage.New(t.Context(), d, opts)
	require.NoError(t, err)
	return s
}

// withHistory are options of a Store that keeps a history for an hour.
var withHistory = &storage.Options{History: time.Hour}

// noGrace collects unreferenced content of any age.
var noGrace = &storage.CollectOptions{Grace: -1}

// untagged collects unreferenced content and untagged manifests of any age.
var untagged = &storage.CollectOptions{Grace: -1, Untagged: true}

// keepAll are the options of a delete that no tag allows.
var keepAll = &registry.DeleteOptions{Keep: func(string) bool { return true }}

// random returns n bytes that are the same for the same seed.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// tryBlob pushes a blob in one chunk.
func tryBlob(ctx context.Context, b registry.Backend, repo string, content []byte) (ocispec.Descriptor, error) {
	u, err := b.CreateUpload(ctx, repo, nil)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if _, err := u.Append(ctx, 0, int64(len(content)), bytes.NewReader(content)); err != nil {
		return ocispec.Descriptor{}, err
	}
	return u.Commit(ctx, digest.FromBytes(content), nil)
}

// pushBlob pushes a blob in one chunk, which must succeed.
func pushBlob(t testing.TB, b registry.Backend, repo string, content []byte) ocispec.Descriptor {
	t.Helper()
	desc, err := tryBlob(t.Context(), b, repo, content)
	require.NoError(t, err)
	return desc
}

// readBlob returns the content of a blob.
func readBlob(ctx context.Context, b registry.Backend, repo string, d digest.Digest) ([]byte, error) {
	blob, err := b.OpenBlob(ctx, repo, d, nil)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(blob.Body)
	if cerr := blob.Body.Close(); err == nil {
		err = cerr
	}
	return content, err
}

// image returns an image manifest of the blobs given. The first blob is the config.
func image(annotation string, subject *ocispec.Descriptor, blobs ...ocispec.Descriptor) []byte {
	b, err := json.Marshal(ocispec.Manifest{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageManifest,
		Config:      blobs[0],
		Layers:      blobs[1:],
		Subject:     subject,
		Annotations: map[string]string{"a": annotation},
	})
	if err != nil {
		panic(err)
	}
	return b
}

// putImage pushes an image manifest, which must succeed.
func putImage(t testing.TB, b registry.Backend, repo string, content []byte,
	opts *registry.PutOptions) ocispec.Descriptor {
	t.Helper()
	res, err := b.PutManifest(t.Context(), repo, ocispec.MediaTypeImageManifest, content, opts)
	require.NoError(t, err)
	return res.Descriptor
}

// index returns an image index of the manifests or blobs given.
func index(t *testing.T, children ...ocispec.Descriptor) []byte {
	b, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children,
	})
	require.NoError(t, err)
	return b
}

// putIndex pushes an image index of the manifests or blobs given, which must succeed.
func putIndex(t *testing.T, s *storage.Store, repo string, opts *registry.PutOptions,
	children ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	res, err := s.PutManifest(t.Context(), repo, ocispec.MediaTypeImageIndex, index(t, children...), opts)
	require.NoError(t, err)
	return res.Descriptor
}

// tags returns the options of a push that sets tags.
func tags(names ...string) *registry.PutOptions {
	o := &registry.PutOptions{}
	for _, n := range names {
		o.Tags = append(o.Tags, registry.TagPut{Name: n})
	}
	return o
}

func byTag(t string) reference.Ref { return reference.Ref{Tag: t} }

func byDigest(d digest.Digest) reference.Ref { return reference.Ref{Digest: d} }

// pathOf returns the part of a key that stands for a digest.
func pathOf(d digest.Digest) string { return strings.Replace(string(d), ":", "/", 1) }

// collect returns the values of a sequence, which must have no error.
func collect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	all := []T{}
	for v, err := range seq {
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}

// firstError returns the first error of a sequence that begins with one, or nil.
func firstError[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		return err
	}
	return nil
}

// collected collects, which must succeed, and returns what was removed.
func collected(t *testing.T, s *storage.Store, opts *storage.CollectOptions) storage.CollectCounts {
	t.Helper()
	r, err := s.Collect(t.Context(), opts)
	require.NoError(t, err)
	return r.Removed
}

// keys returns the keys of the objects below a prefix.
func keys(t *testing.T, d driver.Driver, prefix string) []string {
	var all []string
	for info, err := range d.List(t.Context(), prefix, nil) {
		require.NoError(t, err)
		all = append(all, info.Key)
	}
	return all
}

// contentOf returns the content of an object, or "" if it does not exist.
func contentOf(t *testing.T, d driver.Driver, key string) string {
	r, _, err := d.Open(t.Context(), key, nil)
	if errors.Is(err, driver.ErrNotExist) {
		return ""
	}
	require.NoError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(b)
}

// used returns the number of bytes in all objects.
func used(t *testing.T, d driver.Driver) int64 {
	sum := int64(0)
	for info, err := range d.List(t.Context(), "", nil) {
		require.NoError(t, err)
		sum += info.Size
	}
	return sum
}

// fill puts objects into a storage until it has no room for another byte.
func fill(t *testing.T, d driver.Driver) {
	t.Helper()
	for n, size := 0, 1<<20; size > 0; n++ {
		if _, err := d.Put(t.Context(), fmt.Sprint("other/", n), bytes.NewReader(make([]byte, size)), nil); err != nil {
			require.ErrorIs(t, err, driver.ErrNoSpace)
			size /= 2
		}
	}
}

// beforeCall returns a Store whose driver calls f right before its call n, counted from 1. New
// makes the first calls.
func beforeCall(t *testing.T, driver driver.Driver, opts *storage.Options, n int,
	f func(s *storage.Store)) *storage.Store {
	var calls atomic.Int64
	return newStore(t, drivertest.NewFaulty(driver,
		&drivertest.FaultyOptions{Before: func(context.Context, drivertest.Call) error {
			if calls.Add(1) == int64(n) {
				f(newStore(t, driver, opts))
			}
			return nil
		}}), opts)
}

// once returns a Store on a new memory driver that calls f once, right before the first
// operation that match accepts.
func once(t *testing.T, match func(c drivertest.Call) bool, f func(s *storage.Store)) *storage.Store {
	driver := newMemory(t)
	var mu sync.Mutex
	done := false
	return newStore(t, drivertest.NewFaulty(driver, &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			mu.Lock()
			defer mu.Unlock()
			if !done && match(c) {
				done = true
				f(newStore(t, driver, nil))
			}
			return nil
		},
	}), nil)
}

// nest lets inner happen right before operation n of outer, in another Store of the same storage.
// prepare comes first, and its operations are not counted. nest returns the Store of outer, and
// reports whether outer had that many operations.
func nest(t *testing.T, n int, prepare, outer, inner func(s *storage.Store)) (s *storage.Store, nested bool) {
	calls, armed := 0, false
	s = once(t, func(drivertest.Call) bool {
		if armed {
			calls++
		}
		nested = nested || calls == n
		return calls == n
	}, inner)
	prepare(s)
	armed = true
	outer(s)
	armed = false
	return s, nested
}
