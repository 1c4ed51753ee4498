//go:build linux || darwin

package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// openBelow returns the files below dir that this process has open.
func openBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("this system does not list open files")
	}
	dir, err = filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	for _, fd := range fds {
		if path, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(path, dir+"/") {
			files = append(files, path)
		}
	}
	return files
}

// TestDriverHoldsFewFilesOpen: an idle Driver has its locks, its journal and its directory in tmp/
// open, also after it was busy. A closed Driver has none.
func TestDriverHoldsFewFilesOpen(t *testing.T) {
	const idle = shards + 6 // d.pruning, d.tempLock, d.usage and three files of the journal, too
	dir := t.TempDir()
	d, err := New(dir, nil)
	require.NoError(t, err)
	require.Len(t, openBelow(t, dir), idle)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			key := fmt.Sprintf("a/%d/b/%d", i, i)
			_, err := d.Put(t.Context(), key, strings.NewReader(key), nil)
			if err == nil && i%2 == 0 {
				err = d.Delete(t.Context(), key, "")
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, openBelow(t, dir), idle+1, "the segment, too")
	require.NoError(t, d.Close())
	require.Empty(t, openBelow(t, dir))
	_, err = New("/dev/null/x", nil)
	require.Error(t, err)
}

// TestCloseWithoutItsLockClosesAllFiles: Close reports that it cannot take its lock, and leaves no
// file open.
func TestCloseWithoutItsLockClosesAllFiles(t *testing.T) {
	dir := t.TempDir()
	d, err := New(dir, nil)
	require.NoError(t, err)
	put(t, d, "a/one", "1", nil)
	require.NoError(t, os.Remove(dir+"/locks/open"))
	require.NoError(t, os.Mkdir(dir+"/locks/open", 0o700))
	require.Error(t, d.Close())
	require.Empty(t, openBelow(t, dir))
}

// TestClose: a closed Driver leaves nothing in tmp/ and rejects every operation. Open readers, and
// other Drivers on the directory, continue to work.
func TestClose(t *testing.T) {
	dir := t.TempDir()
	d, err := New(dir, nil)
	require.NoError(t, err)
	other, err := New(dir, nil)
	require.NoError(t, err)
	_, err = d.Put(t.Context(), "key", strings.NewReader("content"), nil)
	require.NoError(t, err)
	r, _, err := d.Open(t.Context(), "key", nil)
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())

	content, err := io.ReadAll(r)
	require.NoError(t, errors.Join(err, r.Close()))
	require.Equal(t, "content", string(content))
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	require.NoError(t, err)
	require.Len(t, left, 1, "that of the other")
	refused := map[string]error{"sync": d.Sync(t.Context(), "key"), "delete": d.Delete(t.Context(), "key", "")}
	_, refused["put"] = d.Put(t.Context(), "new", strings.NewReader("x"), nil)
	_, refused["stat"] = d.Stat(t.Context(), "key")
	_, _, refused["open"] = d.Open(t.Context(), "key", nil)
	for _, err := range d.List(t.Context(), "", nil) {
		refused["list"] = err
	}
	require.Len(t, refused, 6)
	for op, err := range refused {
		require.ErrorIs(t, err, fs.ErrClosed, op)
		require.ErrorIs(t, err, driver.ErrUnavailable, op)
	}
	_, err = other.Put(t.Context(), "new", strings.NewReader("x"), &driver.PutOptions{IfAbsent: true})
	require.NoError(t, err)
	require.NoError(t, other.Delete(t.Context(), "key", ""))
	require.NoError(t, other.Close())
}

// TestCloseDuringPut: a Put in progress completes or returns an error, and leaves no temporary
// file.
func TestCloseDuringPut(t *testing.T) {
	dir := t.TempDir()
	d, err := New(dir, nil)
	require.NoError(t, err)
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := d.Put(t.Context(), "a/key", r, nil)
		done <- err
	}()
	_, err = io.WriteString(w, "some")
	require.NoError(t, err)
	require.NoError(t, d.Close())
	require.NoError(t, w.Close())
	require.Error(t, <-done)
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	require.NoError(t, err)
	require.Empty(t, left)
	again, err := New(dir, nil)
	require.NoError(t, err)
	_, err = again.Stat(t.Context(), "a/key")
	require.ErrorIs(t, err, driver.ErrNotExist)
	require.NoError(t, again.Close())
}
