package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/registrytest"
)

// TestHelpSucceeds: help is no mistake.
func TestHelpSucceeds(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"--help"}} {
		status, out, errs := call(t.Context(), args...)
		require.Zero(t, status, args)
		require.Contains(t, out, "Usage: maintenance COMMAND")
		require.Empty(t, errs)
	}
	status, _, errs := call(t.Context(), "scrub", "-h")
	require.Zero(t, status)
	require.Contains(t, errs, "-repair")
}

// TestErrorsAsJSON: with -json, standard output is JSON in any case.
func TestErrorsAsJSON(t *testing.T) {
	f := fill(t, false)
	for _, args := range [][]string{
		{"collect"},
		{"collect", "-nonsense"},
		{"usage", "-storage", f.dir},
		{"retain", "apply", "-storage", f.dir, write(t, "plan.json", "{}")},
		{"import", "-from", f.dir, "-to", write(t, "file", "")},
		{"export", "-storage", f.dir, "-repository", "team/app", "-to", filepath.Join(t.TempDir(), "x"), "-tag", "none"},
	} {
		status, out, errs := call(t.Context(), append(args, "-json")...)
		require.NotZero(t, status, args)
		require.NotEmpty(t, errs, args)
		require.True(t, json.Valid([]byte(out)), "%v: %q", args, out)
	}
}

// TestStorageIsAFile: a file in the place of a directory is an error, with and without -dry-run.
func TestStorageIsAFile(t *testing.T) {
	from := cncf(t)
	for _, more := range [][]string{nil, {"-dry-run"}} {
		args := append([]string{"import", "-from", from, "-to", write(t, "file", "x")}, more...)
		status, _, errs := call(t.Context(), args...)
		require.Equal(t, failed, status, more)
		require.Contains(t, errs, "not a directory", more)
	}
}

// What is made in a memory that ends with the command would be lost, although the command says that it was made.
func TestMemoryIsRefused(t *testing.T) {
	password := write(t, "password", "correct horse battery staple")
	status, _, errs := call(t.Context(), "accounts", "setup", "ann", "-storage", "mem://", "-password-file", password)
	require.Equal(t, misused, status)
	require.Contains(t, errs, "only the server can reach")
}

// TestSyncFromNoStorage: a source that is no storage is an error, and nothing is written to it.
func TestSyncFromNoStorage(t *testing.T) {
	from := cncf(t)
	status, _, errs := call(t.Context(), "sync", "-from", from, "-to", filepath.Join(t.TempDir(), "new"))
	require.Equal(t, misused, status)
	require.Contains(t, errs, "no storage of a registry is there")
	require.NoDirExists(t, filepath.Join(from, "objects"))
}

// TestExportOfNothing: a pattern that selects nothing is an error, and makes no archive.
func TestExportOfNothing(t *testing.T) {
	f, to := fill(t, false), filepath.Join(t.TempDir(), "out.tar")
	for _, more := range [][]string{nil, {"-dry-run"}} {
		status, _, errs := call(t.Context(), append([]string{"export", "-storage", f.dir, "-repository", "team/app",
			"-tag", "none", "-to", to}, more...)...)
		require.Equal(t, failed, status, more)
		require.Contains(t, errs, "no tag of team/app is selected", more)
	}
	require.NoFileExists(t, to)
}

// TestRehearsalOfImport: a rehearsal for a storage that does not exist tells how layers are taken over,
// and leaves nothing behind.
func TestRehearsalOfImport(t *testing.T) {
	parent := t.TempDir()
	to := filepath.Join(parent, "a", "new")
	type amounts struct {
		Layers struct{ Linked, Cloned, Streamed struct{ Count int64 } }
	}
	var dry, done amounts
	from := cncf(t)
	succeed(t, &dry, "import", "-from", from, "-to", to, "-dry-run")
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Empty(t, left)
	succeed(t, &done, "import", "-from", from, "-to", to)
	require.Equal(t, done, dry)
}

// cncf makes the data of a CNCF registry with one tag of one image, and returns its directory.
func cncf(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put := func(content, path string) {
		path = filepath.Join(dir, "docker/registry/v2", path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	image := registrytest.RandomImage(3, 1, 100_000)
	for d, content := range blobs(image) {
		hex := d.Encoded()
		put(string(content), "blobs/sha256/"+hex[:2]+"/"+hex+"/data")
		put(string(d), "repositories/app/_layers/sha256/"+hex+"/link")
	}
	d := image.Descriptor.Digest
	put(string(d), "repositories/app/_manifests/revisions/sha256/"+d.Encoded()+"/link")
	put(string(d), "repositories/app/_manifests/tags/v1/current/link")
	return dir
}

// blobs returns the blobs and the manifest of an image.
func blobs(image *registrytest.Content) map[digest.Digest][]byte {
	all := map[digest.Digest][]byte{image.Descriptor.Digest: image.Manifest}
	for _, b := range image.Blobs {
		all[digest.FromBytes(b)] = b
	}
	return all
}
