//go:build linux || darwin

package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestJournalSurvivesTooManyOpenFiles: a checkpoint that cannot open a file is made again later, and
// the journal goes on.
func TestJournalSurvivesTooManyOpenFiles(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	j := d.journal
	j.maxRecords = 4
	all, fails := j.syncAll, true
	j.syncAll = func() error {
		if fails {
			return &os.PathError{Op: "open", Err: syscall.EMFILE}
		}
		return all()
	}
	populate(t, d, "a/", 20)
	sync := j.fdatasync
	j.fdatasync = func(*os.File) error { return syscall.EIO }
	require.Error(t, tryPut(t, d, "a/failed", "1"))
	j.fdatasync = sync
	require.ErrorIs(t, tryPut(t, d, "a/failed", "1"), syscall.EMFILE)
	fails = false
	populate(t, d, "b/", 20)
	put(t, d, "a/failed", "2", nil)
	segments, err := j.generations()
	require.NoError(t, err)
	require.LessOrEqual(t, len(segments), 3)
}

// TestAFailedJournalStaysFailed: a Delete that found no room for its record waits for a checkpoint,
// which fails. The Delete must not make the journal usable again: its own sync of the file system
// would succeed, because the system reports a lost write once.
func TestAFailedJournalStaysFailed(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	j := d.journal
	put(t, d, "a/one", "1", nil)
	require.NoError(t, j.checkpointing.lock()) // of the checkpoint
	full := make(chan struct{})
	j.write = func(f *os.File, b []byte, off int64) error {
		if f == j.state {
			return writeAt(f, b, off)
		}
		close(full)
		return &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	deleted := make(chan error)
	go func() { deleted <- d.Delete(t.Context(), "a/one", "") }()
	<-full
	all, fails := j.syncAll, true
	j.syncAll = func() error {
		if fails {
			fails = false
			return syscall.EIO
		}
		return all()
	}
	j.checkpoint()
	require.ErrorIs(t, <-deleted, errJournalFailed)
	require.ErrorIs(t, tryPut(t, d, "a/two", "1"), errJournalFailed)
}

// TestJournalSurvivesTheLossOfItsFiles: somebody removes the files in journal/ while they are used.
func TestJournalSurvivesTheLossOfItsFiles(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir, nil)
	d.journal.maxRecords = 4
	failed := 0
	for i := range 40 {
		if i%10 == 5 {
			files, err := filepath.Glob(dir + "/journal/*")
			require.NoError(t, err)
			for _, name := range files {
				require.NoError(t, os.Remove(name))
			}
		}
		if tryPut(t, d, fmt.Sprint("a/", i), "1") != nil {
			failed++
		}
	}
	require.LessOrEqual(t, failed, 4)
	put(t, d, "a/last", "1", nil)
}

// TestDamagedSegments: New refuses what cannot be a segment, and never waits for it.
func TestDamagedSegments(t *testing.T) {
	for what, damage := range map[string]func(path string) error{
		"empty":     func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"short":     func(path string) error { return os.WriteFile(path, []byte("disk jou"), 0o600) },
		"other":     func(path string) error { return os.WriteFile(path, make([]byte, 1000), 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":      func(path string) error { return os.Symlink("/dev/null", path) },
		"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		dir := t.TempDir()
		d := newDriver(t, dir, nil)
		put(t, d, "a/one", "1", nil)
		kill(d)
		path := dir + "/journal/" + segmentName(1)
		require.NoError(t, os.Remove(path))
		require.NoError(t, damage(path))
		_, err := New(dir, nil)
		require.ErrorContains(t, err, path, what)
	}
}

// TestUnsettledDirectoryWithAFullSegment: a call that begins a segment and finds a directory with a time
// of the kernel never waits for the lock of the directory while it holds that of checkpoints. A Delete
// takes them the other way round if its record cannot be written.
func TestUnsettledDirectoryWithAFullSegment(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir, nil)
	j := d.journal
	put(t, d, "a/b/one", "1", nil)
	put(t, d, "a/b/two", "2", nil)
	require.NoError(t, os.Mkdir(dir+"/objects/a/b/of-the-kernel", 0o700))
	j.maxRecords = 1 // the next Sync begins a segment

	lock, write, all := d.lockOf("a/b"), j.write, j.syncAll
	locked := false
	j.write = func(f *os.File, b []byte, off int64) error {
		if !locked && f != j.state { // a Delete of another process takes its first lock
			locked = true
			require.NoError(t, lock.lock())
		}
		return write(f, b, off)
	}
	j.syncAll = func() error {
		if locked { // the Delete has both locks once the checkpoint is over
			lock.unlock()
			j.syncAll = all
		}
		return all()
	}
	require.NoError(t, d.Sync(t.Context(), "a/b/absent"))
	require.True(t, locked)
}

// TestJournalOfAnOldDirectoryOnAFullDisk: a directory of a version without a journal opens, and its
// objects can be deleted.
func TestJournalOfAnOldDirectoryOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir, &Options{NoJournal: true})
	for _, key := range []string{"a/one", "a/two"} {
		put(t, d, key, "1", nil)
	}
	j := newJournal(d, dir+"/journal")
	j.write = func(f *os.File, _ []byte, _ int64) error {
		return &os.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}
	require.NoError(t, j.open(dir+"/locks", true))
	d.journal = j
	require.NoError(t, d.Delete(t.Context(), "a/one", ""))
	require.NoError(t, d.Sync(t.Context(), "a/one", "a/two"))
	j.write = writeAt
	put(t, d, "a/three", "1", nil)
	require.NoError(t, j.close())
	d.journal = nil
	kill(d)
	require.Equal(t, []string{"a/three", "a/two"}, keys(t, newDriver(t, dir, nil), "", nil))
}

func tryPut(t *testing.T, d *Driver, key, content string) error {
	_, err := d.Put(t.Context(), key, strings.NewReader(content), nil)
	return err
}
