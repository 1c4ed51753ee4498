//go:build linux || darwin

package disk

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// source returns a file that drivers can take over.
func source(t *testing.T, _ driver.Driver, content []byte) (any, func()) {
	f := foreign(t, string(content))
	return f, func() { require.NoError(t, os.Remove(f.Name())) }
}

// foreign returns an old file, open for reading.
func foreign(t *testing.T, content string) *os.File {
	path := filepath.Join(t.TempDir(), "data")
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	old := time.Now().AddDate(-1, 0, 0)
	require.NoError(t, os.Chtimes(path, old, old))
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestAdoptedFileIsNew: a collection must not take a file that has just been linked for an old one.
func TestAdoptedFileIsNew(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	f := foreign(t, "content")
	before, err := f.Stat()
	require.NoError(t, err)
	started := time.Now().Add(-time.Minute)
	info, how, err := d.Adopt(t.Context(), "data/key", f, nil)
	require.NoError(t, err)
	require.Equal(t, driver.Linked, how)
	require.True(t, info.ModTime.After(started))
	stat, err := d.Stat(t.Context(), "data/key")
	require.NoError(t, err)
	require.True(t, stat.ModTime.After(started))
	require.Equal(t, info.Version, stat.Version)

	after, err := os.Stat(f.Name())
	require.NoError(t, err)
	require.Equal(t, before.ModTime(), after.ModTime(), "the source keeps its time")
	require.Equal(t, before.Mode(), after.Mode())
	require.NoError(t, os.Remove(f.Name()))
	stat, err = d.Stat(t.Context(), "data/key")
	require.NoError(t, err)
	require.Equal(t, info.Version, stat.Version, "the version does not depend on the number of names")
}

// TestSyncOfSecondNameOfFile: the ledger knows files by inode and time, which two names of a file share.
// Both directories must be synced.
func TestSyncOfSecondNameOfFile(t *testing.T) {
	d := newDriver(t, t.TempDir(), &Options{NoJournal: true})
	f := foreign(t, "content")
	var mu sync.Mutex // files and directories are synced in parallel
	synced := map[string]int{}
	d.fsync = func(f *os.File) error {
		mu.Lock()
		defer mu.Unlock()
		synced[f.Name()]++
		return nil
	}
	for _, key := range []string{"data/aa/key", "data/bb/key"} {
		_, _, err := d.Adopt(t.Context(), key, f, nil)
		require.NoError(t, err)
		require.NoError(t, d.Sync(t.Context(), key))
		require.NotZero(t, synced[d.objects+key], key)
		require.NotZero(t, synced[filepath.Dir(d.objects+key)], key)
	}
	require.NoError(t, os.Remove(f.Name()))
	require.NoError(t, d.Delete(t.Context(), "data/aa/key", ""))
	clear(synced)
	require.NoError(t, d.Sync(t.Context(), "data/bb/key"))
	require.NotZero(t, synced[d.objects+"data/bb/key"])
}

func TestAdoptRefuses(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	adopt := func(f *os.File) error {
		_, _, err := d.Adopt(t.Context(), "data/key", f, &driver.AdoptOptions{})
		return err
	}
	moved := foreign(t, "content")
	require.NoError(t, os.Rename(moved.Name(), moved.Name()+"-moved"))
	require.ErrorIs(t, adopt(moved), errors.ErrUnsupported, "the path leads nowhere")

	replaced := foreign(t, "content")
	require.NoError(t, os.Rename(foreign(t, "other").Name(), replaced.Name()))
	require.ErrorIs(t, adopt(replaced), errors.ErrUnsupported, "the path leads to another file")

	linked := foreign(t, "content")
	require.NoError(t, os.Rename(linked.Name(), linked.Name()+"-moved"))
	require.NoError(t, os.Symlink(linked.Name()+"-moved", linked.Name()))
	require.ErrorIs(t, adopt(linked), errors.ErrUnsupported, "the path is a symbolic link")

	dir, err := os.Open(t.TempDir())
	require.NoError(t, err)
	defer func() { _ = dir.Close() }()
	require.ErrorIs(t, adopt(dir), errors.ErrUnsupported)
	closed := foreign(t, "content")
	require.NoError(t, closed.Close())
	require.Error(t, adopt(closed))

	entries, err := os.ReadDir(d.temp)
	require.NoError(t, err)
	require.Empty(t, entries, "nothing is left behind")
	require.Empty(t, keys(t, d, "", nil))
}
