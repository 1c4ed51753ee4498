package importer_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/importer"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// destination is the new registry.
type destination struct {
	t      testing.TB
	store  *storage.Store
	driver driver.Driver
}

func newDestination(t testing.TB, d driver.Driver) *destination {
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	return &destination{t, s, d}
}

func onDisk(t testing.TB) *destination {
	d, err := disk.New(t.TempDir(), &disk.Options{NoSync: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return newDestination(t, d)
}

func inMemory(t testing.TB) *destination { return newDestination(t, memory.New(nil)) }

// both runs a test with a destination that links and one that streams.
func both(t *testing.T, f func(t *testing.T, dst *destination)) {
	t.Run("disk", func(t *testing.T) { f(t, onDisk(t)) })
	t.Run("memory", func(t *testing.T) { f(t, inMemory(t)) })
}

// run imports a tree.
func (d *destination) run(tr *tree, opts *importer.Options) *importer.Report {
	d.t.Helper()
	rep, err := d.try(tr, opts)
	require.NoError(d.t, err)
	return rep
}

func (d *destination) try(tr *tree, opts *importer.Options) (*importer.Report, error) {
	src, err := importer.OpenDir(tr.dir)
	require.NoError(d.t, err)
	defer func() { require.NoError(d.t, src.Close()) }()
	return importer.Run(d.t.Context(), d.store, d.driver, src, opts)
}

// tagged returns the digest that a tag points at, or "".
func (d *destination) tagged(repo, tag string) digest.Digest {
	desc, err := d.store.StatManifest(d.t.Context(), repo, reference.Ref{Tag: tag}, nil)
	if err != nil {
		require.ErrorIs(d.t, err, registry.ErrManifestUnknown)
	}
	return desc.Digest
}

func (d *destination) has(repo string, dgst digest.Digest) bool {
	_, err := d.store.StatManifest(d.t.Context(), repo, reference.Ref{Digest: dgst}, nil)
	if err != nil {
		require.ErrorIs(d.t, err, registry.ErrManifestUnknown)
	}
	return err == nil
}

// content returns a blob.
func (d *destination) content(repo string, dgst digest.Digest) []byte {
	d.t.Helper()
	b, err := d.store.OpenBlob(d.t.Context(), repo, dgst, nil)
	require.NoError(d.t, err)
	defer func() { _ = b.Body.Close() }()
	content, err := io.ReadAll(b.Body)
	require.NoError(d.t, err)
	return content
}

// problem returns the only problem of a report.
func problem(t testing.TB, rep *importer.Report) importer.Problem {
	t.Helper()
	require.Len(t, rep.Problems, 1)
	return rep.Problems[0]
}

func (d *destination) mediaType(repo, tag string) string {
	desc, err := d.store.StatManifest(d.t.Context(), repo, reference.Ref{Tag: tag}, nil)
	require.NoError(d.t, err)
	return desc.MediaType
}

// synced is a destination in a directory, which survives a loss of power.
func synced(t testing.TB, dir string) *destination {
	d, err := disk.New(dir, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return newDestination(t, d)
}

func (d *destination) write(key string, content []byte) {
	_, err := d.driver.Put(d.t.Context(), key, bytes.NewReader(content), nil)
	require.NoError(d.t, err)
}
