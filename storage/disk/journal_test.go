//go:build linux || darwin

package disk

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

func TestDriverWithoutJournal(t *testing.T) {
	opts := &Options{NoJournal: true}
	drivertest.TestDriver(t, func(t *testing.T) driver.Driver { return newDriver(t, t.TempDir(), opts) },
		&drivertest.Options{Reopen: reopen(opts), Source: source, LargeSize: 1 << 20})
}

// journalSyncs counts the syncs of the journal of d.
func journalSyncs(d *Driver) *atomic.Int64 {
	var n atomic.Int64
	d.journal.fdatasync = func(*os.File) error {
		n.Add(1)
		return nil
	}
	return &n
}

// TestJournalSyncsWhatIsNeeded checks how often each operation syncs the journal, and that it syncs
// the files and directories of large objects only.
func TestJournalSyncsWhatIsNeeded(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	put(t, d, "a/b/first", "1", nil) // begins a segment
	r, n := recordSyncs(d), journalSyncs(d)
	large := strings.Repeat("x", maxSmall+1)
	sync := func(keys ...string) { require.NoError(t, d.Sync(t.Context(), keys...)) }
	for _, step := range []struct {
		what  string
		do    func()
		waits int64
		files []string
	}{
		{"durable in new directories", func() { put(t, d, "a/c/d/e", "1", nil) }, 2, nil},
		{"durable over another", func() { put(t, d, "a/c/d/e", "2", nil) }, 2, nil},
		{"sync of what is durable", func() { sync("a/c/d/e", "a/b/first") }, 0, nil},
		{"deferred", func() { put(t, d, "a/c/d/f", "1", deferred) }, 0, nil},
		{"sync of that", func() { sync("a/c/d/f") }, 1, nil},
		{"again", func() { sync("a/c/d/f") }, 0, nil},
		{"deferred over another", func() { put(t, d, "a/c/d/f", "2", deferred) }, 1, nil},
		{"relaxed", func() { put(t, d, "a/c/d/g", "1", relaxed) }, 0, nil},
		{"relaxed over another", func() { put(t, d, "a/c/d/g", "2", relaxed) }, 0, nil},
		{"sync of many", func() { sync("a/c/d/f", "a/c/d/g", "a/c/d/absent", "x/y/z") }, 1, nil},
		{"delete", func() { require.NoError(t, d.Delete(t.Context(), "a/c/d/g", "")) }, 0, nil},
		{"sync of what is deleted", func() { sync("a/c/d/g") }, 1, nil},
		{"large", func() { put(t, d, "a/c/large", large, deferred) }, 0, nil},
		{"sync of large and small", func() {
			put(t, d, "a/c/small", "1", deferred)
			sync("a/c/large", "a/c/small")
		}, 1, []string{"", "a", "a/c", "a/c/large"}},
	} {
		n.Store(0)
		step.do()
		require.Equal(t, step.waits, n.Load(), step.what)
		require.Equal(t, append([]string{}, step.files...), r.take(), step.what)
	}
}

// TestJournalSyncsAreShared: calls that wait at the same time share a sync of the journal. No call
// relies on a sync that began earlier.
func TestJournalSyncsAreShared(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	put(t, d, "a/first", "1", nil)
	const calls = 20
	entered, proceed := make(chan struct{}, calls), make(chan struct{})
	d.journal.fdatasync = func(*os.File) error {
		entered <- struct{}{}
		<-proceed
		return nil
	}
	var wg sync.WaitGroup
	begin := func(i int) {
		key := fmt.Sprintf("a/%d/b", i)
		put(t, d, key, "1", deferred)
		wg.Go(func() {
			if err := d.Sync(t.Context(), key); err != nil {
				t.Error(err)
			}
		})
	}
	begin(0)
	<-entered
	for i := 1; i < calls; i++ {
		begin(i)
	}
	require.Eventually(t, func() bool {
		d.journal.queue.Lock()
		defer d.journal.queue.Unlock()
		return d.journal.next != nil && len(d.journal.next.demands) == calls-1
	}, 10*time.Second, time.Millisecond)
	close(proceed)
	wg.Wait()
	require.Len(t, entered, 1)
}

// TestJournalFreesSegments: many callers of two Drivers fill small segments. At most three files
// remain, and everything is there in the end, with each way of making everything durable.
func TestJournalFreesSegments(t *testing.T) {
	for _, each := range []bool{false, true} {
		dir := t.TempDir()
		drivers := []*Driver{newDriver(t, dir, nil), newDriver(t, dir, nil)}
		var checkpoints atomic.Int64
		var wg sync.WaitGroup
		want := map[string]string{}
		for i, d := range drivers {
			j := d.journal
			j.maxRecords = 10
			all := j.syncAll
			if each {
				all = j.syncEach
			}
			j.syncAll = func() error {
				checkpoints.Add(1)
				return all()
			}
			for c := range 4 {
				for n := range 12 {
					key := fmt.Sprintf("a/%d%d/%d", i, c, n)
					want[key] = key
				}
				wg.Go(func() { populate(t, d, fmt.Sprintf("a/%d%d/", i, c), 12) })
			}
		}
		wg.Wait()
		require.Greater(t, checkpoints.Load(), int64(3))
		all, err := drivers[0].journal.generations()
		require.NoError(t, err)
		require.LessOrEqual(t, len(all), 3)
		for _, d := range drivers {
			require.NoError(t, d.Close())
		}
		all, err = drivers[0].journal.generations()
		require.NoError(t, err)
		require.Empty(t, all, "the last Close empties the journal")
		got := map[string]string{}
		for _, key := range keys(t, newDriver(t, dir, nil), "", nil) {
			content, err := os.ReadFile(dir + "/objects/" + key)
			require.NoError(t, err)
			got[key] = string(content)
		}
		require.Equal(t, want, got)
	}
}

// populate writes n objects, each with its key as its content, and as many that it deletes.
func populate(t *testing.T, d *Driver, prefix string, n int) {
	for i := range n {
		key := fmt.Sprint(prefix, i)
		_, err := d.Put(t.Context(), key, strings.NewReader(key), &driver.PutOptions{Durability: driver.Durability(i % 3)})
		_, err2 := d.Put(t.Context(), key+"-gone", nil, deferred)
		err3 := d.Sync(t.Context(), key, key+"-gone")
		err4 := d.Delete(t.Context(), key+"-gone", "")
		if err := errors.Join(err, err2, err3, err4, d.Sync(t.Context(), key+"-gone")); err != nil {
			t.Error(err)
		}
	}
}

// TestReplay changes the files below a journal as a loss of power may leave them. New repairs them.
func TestReplay(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir, nil)
	put(t, d, "a/lost", "lost", nil)
	put(t, d, "a/b/c/lost", "lost with its directories", nil)
	put(t, d, "a/torn", "torn", nil)
	put(t, d, "a/old", "old", nil)
	before := d.objects + "before"
	require.NoError(t, os.Rename(d.objects+"a/old", before))
	put(t, d, "a/old", "new", nil)
	put(t, d, "a/deleted", "deleted", nil)
	require.NoError(t, os.Link(d.objects+"a/deleted", d.objects+"again"))
	require.NoError(t, d.Delete(t.Context(), "a/deleted", ""))
	put(t, d, "a/later", "first", nil)
	put(t, d, "a/later", "later", relaxed)
	require.NoError(t, d.usage.life.Close(), "as a kill does")

	require.NoError(t, os.Remove(d.objects+"a/lost"))
	require.NoError(t, os.RemoveAll(d.objects+"a/b"))
	st, err := os.Stat(d.objects + "a/torn")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.objects+"a/torn", nil, 0o600))
	require.NoError(t, os.Chtimes(d.objects+"a/torn", st.ModTime(), st.ModTime()))
	require.NoError(t, os.Rename(before, d.objects+"a/old"))
	require.NoError(t, os.Rename(d.objects+"again", d.objects+"a/deleted"))

	for range 2 { // replay changes nothing the second time
		next := newDriver(t, dir, nil)
		got := map[string]string{}
		for _, key := range keys(t, next, "", nil) {
			content, err := os.ReadFile(d.objects + key)
			require.NoError(t, err)
			got[key] = string(content)
		}
		require.Equal(t, map[string]string{
			"a/lost": "lost", "a/b/c/lost": "lost with its directories", "a/torn": "torn", "a/old": "new", "a/later": "later",
		}, got)
		info, err := next.Stat(t.Context(), "a/torn")
		require.NoError(t, err)
		require.True(t, st.ModTime().Equal(info.ModTime))
		require.NoError(t, next.usage.life.Close())
	}
}

// TestJournalModesExclude: while a Driver has a journal, none without can use the directory, and
// the other way round.
func TestJournalModesExclude(t *testing.T) {
	dir := t.TempDir()
	modes := []*Options{nil, {NoJournal: true}, {NoSync: true}}
	for i, first := range modes {
		d := newDriver(t, dir, first)
		put(t, d, fmt.Sprint("a/", i), "1", nil)
		for k, second := range modes {
			other, err := New(dir, second)
			if (i == 0) != (k == 0) {
				require.ErrorIs(t, err, errOtherMode)
				continue
			}
			require.NoError(t, err)
			require.NoError(t, other.Close())
		}
		require.NoError(t, d.usage.life.Close(), "as a kill does")
	}
	require.Equal(t, []string{"a/0", "a/1", "a/2"}, keys(t, newDriver(t, dir, nil), "", nil))
}

func TestRecords(t *testing.T) {
	records := []record{
		{kind: putRecord, path: "a/b", seq: 1, content: []byte("content")},
		{kind: absentRecord, path: "a/c", seq: -2, content: []byte{}},
		{kind: contentRecord, path: strings.Repeat("d", 1000), seq: 3, content: make([]byte, maxSmall)},
	}
	b, crc := appendHeader(nil), seed(7)
	for i := range records {
		n := len(b)
		b, crc = records[i].append(b, crc)
		require.Equal(t, records[i].encodedSize(), len(b)-n)
	}
	got, end, last := readRecords(append(b, make([]byte, 100)...), 7)
	require.Equal(t, records, got)
	require.EqualValues(t, len(b), end)
	require.Equal(t, crc, last)

	got, _, _ = readRecords(b, 8)
	require.Empty(t, got, "records of another generation")
	b[headerSize+recordHeader]++
	got, _, _ = readRecords(b, 7)
	require.Empty(t, got, "no record after a damaged one")
}
