//go:build linux || darwin

package disk

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

func TestNames(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	n, model := newNames(nil), []string{}
	for range 20_000 {
		e := fmt.Sprint(rnd.IntN(3000))
		at, ok := slices.BinarySearch(model, e)
		old, oldCount := n, n.count
		if rnd.IntN(5) < 3 {
			n = n.with(e)
			if !ok {
				model = slices.Insert(model, at, e)
			}
		} else {
			n = n.without(e)
			if ok {
				model = slices.Delete(model, at, at+1)
			}
		}
		require.Equal(t, oldCount, old.count)
		require.Equal(t, len(model), n.count)
	}
	require.Equal(t, model, slices.Concat(n.chunks...))
	require.Equal(t, newNames(slices.Clone(model)).bytes, n.bytes)
	for _, e := range model {
		n = n.without(e)
	}
	require.Zero(t, n.bytes)
	require.Empty(t, n.chunks)
	c, i := n.seek("x", false)
	require.Zero(t, c+i)
}

// cached returns the cached names for the current state of a directory.
func cached(t *testing.T, d *Driver, path string) *names {
	var st syscall.Stat_t
	require.NoError(t, lstat(d.objects+path, &st))
	return d.lists.get(path, stampOf(&st))
}

// TestListCacheFollowsChanges: changes by this process to a large directory do not make it read the
// directory again. Changes by another process do.
func TestListCacheFollowsChanges(t *testing.T) {
	dir := t.TempDir()
	d, other := newDriver(t, dir, nil), newDriver(t, dir, nil)
	want := []string{}
	for i := range 1000 {
		want = append(want, fmt.Sprintf("a/b/%04d", i))
		put(t, d, want[i], "", relaxed)
	}
	require.Nil(t, cached(t, d, "a/b"))
	require.Equal(t, want, keys(t, d, "", nil))
	require.NotNil(t, cached(t, d, "a/b"), "known at once, although the directory has just changed")
	require.Nil(t, cached(t, d, "a"), "not worth it")

	put(t, d, "a/b/0000-new", "", relaxed)
	put(t, d, "a/b/0001", "replaced", relaxed)
	put(t, d, "a/b/0002-dir/x", "", relaxed)
	require.NoError(t, d.Delete(t.Context(), "a/b/0003", ""))
	require.NotNil(t, cached(t, d, "a/b"))
	want = append([]string{want[0], "a/b/0000-new", want[1], want[2], "a/b/0002-dir/x"}, want[4:]...)
	require.Equal(t, want, keys(t, d, "", nil))
	require.NoError(t, d.Delete(t.Context(), "a/b/0002-dir/x", "")) // and its directory
	want = slices.Delete(want, 4, 5)
	require.NotNil(t, cached(t, d, "a/b"))
	require.Equal(t, want, keys(t, d, "", nil))

	put(t, other, "a/b/0000-other", "", relaxed)
	require.Nil(t, cached(t, d, "a/b"))
	want = slices.Insert(want, 2, "a/b/0000-other")
	require.Equal(t, want, keys(t, d, "", nil))
	require.NotNil(t, cached(t, d, "a/b"))
}

// TestListSeesWritesOfOtherPrograms: if another program renames a file into place or removes one,
// the next list shows the change, even if it follows immediately.
func TestListSeesWritesOfOtherPrograms(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	want := []string{}
	for i := range 400 {
		want = append(want, fmt.Sprintf("dir/%04d", i))
		put(t, d, want[i], "", relaxed)
	}
	foreign := filepath.Join(t.TempDir(), "file")
	for i := range 300 {
		require.Equal(t, want, keys(t, d, "dir/", nil))
		key := fmt.Sprintf("dir/%04d-foreign", i)
		if i%2 == 0 {
			require.NoError(t, os.WriteFile(foreign, nil, 0o600))
			require.NoError(t, os.Rename(foreign, d.objects+key))
			at, _ := slices.BinarySearch(want, key)
			want = slices.Insert(want, at, key)
		} else {
			require.NoError(t, os.Remove(d.objects+want[0]))
			want = want[1:]
		}
		if i%5 == 0 {
			put(t, d, want[10], "replaced", relaxed)
		}
	}
}

func TestListCacheIsBounded(t *testing.T) {
	const limit = 50_000
	d := newDriver(t, t.TempDir(), &Options{ListCache: limit, NoSync: true})
	for dir := range 4 {
		for i := range 500 {
			put(t, d, fmt.Sprintf("%d/%04d", dir, i), "", relaxed)
		}
	}
	for range 2 {
		require.Len(t, keys(t, d, "", nil), 2000)
		require.LessOrEqual(t, d.lists.used, int64(limit))
		require.Positive(t, d.lists.used)
		require.Len(t, d.lists.dirs, d.lists.order.Len())
	}
	for i := range 1500 { // grows while it is cached
		put(t, d, fmt.Sprintf("3/x%04d", i), "", relaxed)
		require.LessOrEqual(t, d.lists.used, int64(limit))
	}
	for path := range d.lists.dirs {
		d.lists.drop(path)
	}
	require.Zero(t, d.lists.used)

	d = newDriver(t, root(d), &Options{ListCache: -1})
	require.Len(t, keys(t, d, "", nil), 3500)
	require.Empty(t, d.lists.dirs)
}

// TestListIgnoresFilesOfOtherPrograms: a list ignores a file whose name is not the encoding of a
// key.
func TestListIgnoresFilesOfOtherPrograms(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	put(t, d, "a/b", "", nil)
	for _, name := range []string{"a/B", "a/.DS_Store", "a/x y", "a/^", "a/^1", "a/+", "a/c+",
		"a/" + strings.Repeat("z", 210), "lost+found"} {
		require.NoError(t, os.WriteFile(d.objects+name, nil, 0o600))
	}
	require.NoError(t, os.MkdirAll(d.objects+"UPPER/dir", 0o700))
	require.NoError(t, syscall.Mkfifo(d.objects+"a/fifo", 0o600))
	require.Equal(t, []string{"a/b"}, keys(t, d, "", nil))
	require.Equal(t, []string{"a/b"}, keys(t, d, "", &driver.ListOptions{KeysOnly: true}))
	_, err := d.Stat(t.Context(), "a/fifo")
	require.ErrorIs(t, err, driver.ErrNotExist)
}
