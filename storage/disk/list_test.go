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
	"time"

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
			n = n.with(e, state{})
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
	var all []string
	for _, c := range n.chunks {
		all = append(all, c.entries...)
	}
	require.Equal(t, model, all)
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
	// A new directory has a time of the kernel, which counts once it is settled.
	long := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(dir+"/objects/a", long, long))
	require.Nil(t, cached(t, d, "a/b"))
	require.Equal(t, want, keys(t, d, "", nil))
	require.NotNil(t, cached(t, d, "a/b"), "known at once, although the directory has just changed")
	require.NotNil(t, cached(t, d, "a"))

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

// TestListInfosFollowChanges: the infos of a list, which mostly come from the cache, are those of
// Stat, whoever changes the objects: this process, another one, or another program.
func TestListInfosFollowChanges(t *testing.T) {
	dir := t.TempDir()
	d, other := newDriver(t, dir, nil), newDriver(t, dir, nil)
	rnd := rand.New(rand.NewPCG(3, 4))
	foreign := filepath.Join(t.TempDir(), "file")
	known := 0
	for range 2000 {
		key := fmt.Sprintf("%d/%03d", rnd.IntN(2), rnd.IntN(150))
		if rnd.IntN(2) == 0 {
			key = fmt.Sprintf("2/x/%04d", rnd.IntN(1200)) // several chunks
		}
		content := strings.Repeat("x", rnd.IntN(100))
		switch by := []*Driver{d, d, d, other}[rnd.IntN(4)]; rnd.IntN(40) {
		case 0:
			_ = os.Remove(foreign)
			require.NoError(t, os.WriteFile(foreign, []byte(content), 0o600))
			require.NoError(t, os.MkdirAll(filepath.Dir(d.objects+key), 0o700))
			require.NoError(t, os.Rename(foreign, d.objects+key))
		case 1: // a further name of the file, which changes its ModTime
			_ = os.Remove(foreign)
			_ = os.Link(d.objects+key, foreign)
		case 2, 3, 4, 5, 6, 7, 8, 9, 10:
			_ = by.Delete(t.Context(), key, "")
		default:
			put(t, by, key, content, relaxed)
		}
		if rnd.IntN(3) > 0 {
			continue
		}
		prefix := fmt.Sprintf("%d/", rnd.IntN(3))
		for i, err := range d.List(t.Context(), prefix, nil) {
			require.NoError(t, err)
			want, err := d.Stat(t.Context(), i.Key)
			require.NoError(t, err)
			require.Equal(t, want.Version, i.Version)
			require.Equal(t, want.Size, i.Size)
		}
		for _, e := range d.lists.dirs {
			if e.Value.(*cachedDir).names.chunks[0].states != nil {
				known++
			}
		}
	}
	require.Positive(t, known, "the cache has infos")
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

// used returns what the cache takes, in bytes.
func (l *listCache) used() int64 { return l.ages[0].used + l.ages[1].used }

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
		require.LessOrEqual(t, d.lists.used(), int64(limit))
		require.Positive(t, d.lists.ages[0].used)
		require.Positive(t, d.lists.ages[1].used)
		require.Len(t, d.lists.dirs, d.lists.ages[0].order.Len()+d.lists.ages[1].order.Len())
	}
	for i := range 500 { // small directories
		put(t, d, fmt.Sprintf("small/%04d/x", i), "", relaxed)
	}
	require.Len(t, keys(t, d, "", nil), 2500)
	require.LessOrEqual(t, d.lists.used(), int64(limit))
	require.Positive(t, d.lists.ages[0].used, "many small directories leave the large ones")
	for i := range 1500 { // grows while it is cached
		put(t, d, fmt.Sprintf("3/x%04d", i), "", relaxed)
		require.LessOrEqual(t, d.lists.used(), int64(limit))
	}
	for path := range d.lists.dirs {
		d.lists.drop(path)
	}
	require.Zero(t, d.lists.used())

	d = newDriver(t, root(d), &Options{ListCache: -1, NoSync: true})
	require.Len(t, keys(t, d, "", nil), 4000)
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
