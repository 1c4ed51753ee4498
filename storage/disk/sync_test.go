//go:build linux || darwin

package disk

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// recorder records the paths that a driver syncs.
type recorder struct {
	d     *Driver
	mu    sync.Mutex
	paths []string // relative to objects/; "temp" for temporary files
	hook  func(path string) error
}

func recordSyncs(d *Driver) *recorder {
	r := &recorder{d: d}
	d.fsync = func(f *os.File) error {
		path := strings.Trim(strings.TrimPrefix(f.Name(), strings.TrimSuffix(d.objects, "/")), "/")
		if strings.HasPrefix(f.Name(), d.temp) {
			path = "temp"
		}
		r.mu.Lock()
		r.paths = append(r.paths, path)
		hook := r.hook
		r.mu.Unlock()
		if hook != nil {
			return hook(path)
		}
		return nil
	}
	return r
}

// take returns the paths synced since the last call, sorted.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := r.paths
	r.paths = nil
	slices.Sort(paths)
	return append([]string{}, paths...)
}

var (
	deferred = &driver.PutOptions{Durability: driver.Deferred}
	relaxed  = &driver.PutOptions{Durability: driver.Relaxed}
)

// TestSyncSyncsWhatIsNeeded checks that each operation syncs exactly the necessary paths. The root
// of objects/ is "".
func TestSyncSyncsWhatIsNeeded(t *testing.T) {
	d := newDriver(t, t.TempDir(), &Options{NoJournal: true})
	r := recordSyncs(d)
	sync := func(keys ...string) { require.NoError(t, d.Sync(t.Context(), keys...)) }
	for _, step := range []struct {
		what string
		do   func()
		want []string
	}{
		{"durable in new directories", func() { put(t, d, "a/b/c", "1", nil) }, []string{"", "a", "a/b", "temp"}},
		{"durable in a known directory", func() { put(t, d, "a/b/d", "1", nil) }, []string{"a/b", "temp"}},
		{"durable over another", func() { put(t, d, "a/b/d", "2", nil) }, []string{"a/b", "temp"}},
		{"durable in one new directory", func() { put(t, d, "a/e/f", "1", nil) }, []string{"a", "a/e", "temp"}},
		{"sync of what is durable", func() { sync("a/b/c", "a/b/d", "a/e/f") }, nil},
		{"deferred new", func() { put(t, d, "a/b/g", "1", deferred) }, nil},
		{"deferred in new directories", func() { put(t, d, "a/h/i/j", "1", deferred) }, nil},
		{"sync of one in a known directory", func() { sync("a/b/g") }, []string{"a/b", "a/b/g"}},
		{"again", func() { sync("a/b/g") }, nil},
		{"sync of one in new directories", func() { sync("a/h/i/j") }, []string{"a", "a/h", "a/h/i", "a/h/i/j"}},
		{"deferred over another", func() { put(t, d, "a/b/g", "2", deferred) }, []string{"temp"}},
		{"sync of that", func() { sync("a/b/g") }, []string{"a/b"}},
		{"relaxed", func() {
			put(t, d, "a/b/g", "3", relaxed)
			put(t, d, "a/b/k", "1", relaxed)
			put(t, d, "a/b/l", "1", deferred)
			put(t, d, "a/e/m", "1", deferred)
		}, nil},
		{"sync of many", func() { sync("a/b/g", "a/b/k", "a/b/l", "a/e/m", "a/b/c", "a/b/g") },
			[]string{"a/b", "a/b/g", "a/b/k", "a/b/l", "a/e", "a/e/m"}},
		{"delete", func() { require.NoError(t, d.Delete(t.Context(), "a/b/l", "")) }, nil},
		{"sync of what is deleted", func() { sync("a/b/l") }, []string{"a/b"}},
		{"delete with the directory", func() { require.NoError(t, d.Delete(t.Context(), "a/h/i/j", "")) }, nil},
		{"sync of that", func() { sync("a/h/i/j") }, []string{"a/h"}},
		{"sync of nothing", func() { sync() }, nil},
		{"a directory made again", func() { put(t, d, "a/h/i/j", "2", nil) }, []string{"a/h", "a/h/i", "temp"}},
		{"reads", func() {
			_, err := d.Stat(t.Context(), "a/b/c")
			require.NoError(t, err)
			keys(t, d, "", nil)
		}, nil},
	} {
		step.do()
		require.Equal(t, append([]string{}, step.want...), r.take(), step.what)
	}
}

// TestSyncOfWritesOfOtherProcesses: Sync also syncs objects and directories that another process
// has created and that this process does not know.
func TestSyncOfWritesOfOtherProcesses(t *testing.T) {
	dir := t.TempDir()
	d, other := newDriver(t, dir, &Options{NoJournal: true}), newDriver(t, dir, &Options{NoJournal: true})
	r, o := recordSyncs(d), recordSyncs(other)
	put(t, d, "a/b/c/one", "1", nil)
	require.Equal(t, []string{"", "a", "a/b", "a/b/c", "temp"}, r.take())
	put(t, other, "a/b/c/two", "1", deferred)
	require.NoError(t, d.Sync(t.Context(), "a/b/c/two"))
	require.Equal(t, []string{"a/b/c", "a/b/c/two"}, r.take())

	// The other driver removes a directory that d has synced and creates it again, perhaps with the
	// same inode.
	require.NoError(t, other.Delete(t.Context(), "a/b/c/one", ""))
	require.NoError(t, other.Delete(t.Context(), "a/b/c/two", ""))
	require.NoDirExists(t, d.objects+"a/b/c")
	put(t, other, "a/b/c/three", "1", deferred)
	require.NoError(t, d.Sync(t.Context(), "a/b/c/three"))
	require.Contains(t, r.paths, "a/b")
	require.Contains(t, r.paths, "a/b/c")
	require.Contains(t, r.paths, "a/b/c/three")
	require.Empty(t, o.take())
}

func TestNoSyncSyncsNothing(t *testing.T) {
	d := newDriver(t, t.TempDir(), &Options{NoSync: true})
	require.Nil(t, d.fsync)
	put(t, d, "a/b", "1", nil)
	put(t, d, "a/b", "2", deferred)
	require.NoError(t, d.Sync(t.Context(), "a/b", "a/c"))
}

// TestSyncsAreShared: concurrent callers that wait for a sync of the same directory share the next
// sync. No caller relies on a sync that began earlier.
func TestSyncsAreShared(t *testing.T) {
	d := newDriver(t, t.TempDir(), &Options{NoJournal: true})
	put(t, d, "a/b/first", "1", nil)
	const n = 20
	for i := range n {
		put(t, d, fmt.Sprintf("a/b/%d", i), "1", deferred)
	}
	r := recordSyncs(d)
	entered, proceed := make(chan struct{}, n), make(chan struct{})
	r.hook = func(path string) error {
		if path == "a/b" {
			entered <- struct{}{}
			<-proceed
		}
		return nil
	}
	errs := make(chan error, n)
	begin := func(i int) { go func() { errs <- d.Sync(t.Context(), fmt.Sprintf("a/b/%d", i)) }() }
	begin(0)
	<-entered
	for i := 1; i < n; i++ {
		begin(i)
	}
	// All calls have synced their files, and all but one wait for the next sync of the directory.
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.paths) == n+1
	}, 10*time.Second, time.Millisecond)
	time.Sleep(20 * time.Millisecond)
	close(proceed)
	for range n {
		require.NoError(t, <-errs)
	}
	count := 0
	for _, path := range r.take() {
		if path == "a/b" {
			count++
		}
	}
	require.LessOrEqual(t, count, 3)
	require.GreaterOrEqual(t, count, 2)
}

// TestSyncFailureIsReported: an object whose content cannot be synced is not published. A failed
// sync does not mark anything as durable.
func TestSyncFailureIsReported(t *testing.T) {
	d := newDriver(t, t.TempDir(), &Options{NoJournal: true})
	put(t, d, "a/b", "old", nil)
	r := recordSyncs(d)
	broken := errors.New("the disk is broken")
	r.hook = func(path string) error {
		if path == "temp" || path == "a/c" {
			return broken
		}
		return nil
	}
	for _, key := range []string{"a/b", "a/new"} {
		_, err := d.Put(t.Context(), key, strings.NewReader("new"), nil)
		require.ErrorIs(t, err, broken)
	}
	_, err := d.Put(t.Context(), "a/b", strings.NewReader("new"), deferred)
	require.ErrorIs(t, err, broken)
	put(t, d, "a/c", "deferred", deferred)
	require.ErrorIs(t, d.Sync(t.Context(), "a/c"), broken)
	r.hook = nil
	r.take()
	require.NoError(t, d.Sync(t.Context(), "a/c"))
	require.Contains(t, r.take(), "a/c")
	require.Equal(t, []string{"a/b", "a/c"}, keys(t, d, "", nil))
	content, err := os.ReadFile(d.objects + "a/b")
	require.NoError(t, err)
	require.Equal(t, "old", string(content))
}

func TestLedgerIsBounded(t *testing.T) {
	l := newLedger()
	at := func(i int) stamp { return stamp{mtime: int64(i), inode: 1} }
	for i := range 5 * maxKnown {
		l.add(at(i), wholeSafe)
		require.Equal(t, wholeSafe, l.file(at(0)), "it is used again and again")
		require.LessOrEqual(t, l.files.Len(), maxKnown)
	}
	require.Equal(t, wholeSafe, l.file(at(5*maxKnown-1)))
	require.Equal(t, unknown, l.file(at(1)))
}
