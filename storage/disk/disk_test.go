//go:build linux || darwin

package disk

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// childVariable is an environment variable. It selects the role of a process that a test has
// started from the test binary; see process_test.go.
const childVariable = "REGISTRYKIT_DISK_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childVariable); role != "" {
		if err := child(role, os.Args[1:]); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func newDriver(t testing.TB, dir string, opts *Options) *Driver {
	t.Helper()
	d, err := New(dir, opts)
	require.NoError(t, err)
	return d
}

// root returns the directory that was given to New.
func root(d *Driver) string { return filepath.Dir(filepath.Clean(d.objects)) }

func reopen(opts *Options) func(t *testing.T, d driver.Driver) driver.Driver {
	return func(t *testing.T, d driver.Driver) driver.Driver { return newDriver(t, root(d.(*Driver)), opts) }
}

func TestDriver(t *testing.T) {
	drivertest.TestDriver(t, func(t *testing.T) driver.Driver { return newDriver(t, t.TempDir(), nil) },
		&drivertest.Options{Reopen: reopen(nil), Source: source})
}

func TestDriverWithoutSyncAndCache(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	opts := &Options{NoSync: true, ListCache: -1}
	drivertest.TestDriver(t, func(t *testing.T) driver.Driver { return newDriver(t, t.TempDir(), opts) },
		&drivertest.Options{Reopen: reopen(opts), LargeSize: 1 << 20})
}

func put(t testing.TB, d driver.Driver, key, content string, opts *driver.PutOptions) driver.Info {
	t.Helper()
	info, err := d.Put(t.Context(), key, strings.NewReader(content), opts)
	require.NoError(t, err)
	return info
}

func keys(t testing.TB, d driver.Driver, prefix string, opts *driver.ListOptions) []string {
	t.Helper()
	list := []string{}
	for info, err := range d.List(t.Context(), prefix, opts) {
		require.NoError(t, err)
		list = append(list, info.Key)
	}
	return list
}

func TestNewRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{"", file, filepath.Join(file, "sub")} {
		_, err := New(dir, nil)
		require.Error(t, err, "%q", dir)
	}
}

// TestOpenIsAFile: the kernel can send the bytes of an object from the position of the reader, and
// the reader continues after them.
func TestOpenIsAFile(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	put(t, d, "dir/key", "0123456789", nil)
	r, _, err := d.Open(t.Context(), "dir/key", &driver.OpenOptions{Offset: 2})
	require.NoError(t, err)
	read := func(n int64) string {
		b, err := io.ReadAll(io.LimitReader(r, n))
		require.NoError(t, err)
		return string(b)
	}
	require.Equal(t, "23", read(2))
	raw, err := r.(syscall.Conn).SyscallConn()
	require.NoError(t, err)
	var b [3]byte
	kernel := func() string {
		require.NoError(t, raw.Read(func(fd uintptr) bool {
			_, err = syscall.Read(int(fd), b[:])
			return true
		}))
		require.NoError(t, err)
		return string(b[:])
	}
	require.Equal(t, "456", kernel())
	require.Equal(t, "7", read(1))
	at, err := r.(io.Seeker).Seek(1, io.SeekStart)
	require.NoError(t, err)
	require.EqualValues(t, 1, at)
	require.Equal(t, "123", kernel())
	at, err = r.(io.Seeker).Seek(2, io.SeekCurrent)
	require.NoError(t, err)
	require.EqualValues(t, 6, at)
	require.Equal(t, "6789", read(100))
	at, err = r.(io.Seeker).Seek(-1, io.SeekEnd)
	require.NoError(t, err)
	require.EqualValues(t, 9, at)

	require.NoError(t, r.Close())
	_, err = r.Read(b[:])
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, raw.Control(func(uintptr) {}), fs.ErrClosed)
	require.ErrorIs(t, r.Close(), fs.ErrClosed)
}

// TestLeavesNoTemporaryFiles: neither successful nor failed operations leave temporary files. New
// removes those of a dead process.
func TestLeavesNoTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	d := newDriver(t, dir, nil)
	put(t, d, "a/b", "one", nil)
	put(t, d, "a/b", "two", nil)
	put(t, d, "a/c", "one", &driver.PutOptions{IfAbsent: true})
	_, err := d.Put(t.Context(), "a/c", strings.NewReader("two"), &driver.PutOptions{IfAbsent: true})
	require.ErrorIs(t, err, driver.ErrExist)
	_, err = d.Put(t.Context(), "a/d", failing{}, nil)
	require.ErrorIs(t, err, errBody)
	left, err := os.ReadDir(d.temp)
	require.NoError(t, err)
	require.Empty(t, left)

	dead := filepath.Join(dir, "tmp", "dead")
	require.NoError(t, os.Mkdir(dead, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dead, "1"), []byte("left over"), 0o600))
	f, err := d.createTemp()
	require.NoError(t, err)
	newDriver(t, dir, nil)
	require.NoDirExists(t, dead)
	require.FileExists(t, f.Name(), "the temporary files of a living process stay")
	require.NoError(t, f.Close())
}

// TestNewOnFullFileSystemSucceeds: New succeeds on a full file system, although it cannot test the
// file system there.
func TestNewOnFullFileSystemSucceeds(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	fails := func(with error) func() (*os.File, error) {
		return func() (*os.File, error) { return nil, &os.PathError{Op: "open", Err: with} }
	}
	require.NoError(t, d.probe(fails(syscall.ENOSPC)))
	require.NoError(t, d.probe(fails(syscall.EDQUOT)))
	require.ErrorIs(t, d.probe(fails(syscall.EACCES)), syscall.EACCES)
}

var errBody = errors.New("body fails")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBody }

func TestDirectoriesArePruned(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	long := strings.Repeat("l", 300)
	put(t, d, "a/b/c/d/e", "", nil)
	put(t, d, "a/b/"+long+"/e", "", nil)
	put(t, d, "a/b/f/g", "", nil)
	for _, key := range []string{"a/b/c/d/e", "a/b/" + long + "/e"} {
		require.NoError(t, d.Delete(t.Context(), key, ""))
	}
	left, err := os.ReadDir(d.objects + "a/b")
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.NoError(t, d.Delete(t.Context(), "a/b/f/g", ""))
	require.DirExists(t, d.objects+"a/b", "the two uppermost levels stay")
	require.NoDirExists(t, d.objects+"a/b/f")
	put(t, d, "a/b/f/g", "again", &driver.PutOptions{IfAbsent: true})
}

func TestSymbolicLinksAreNoObjects(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	put(t, d, "a/b", "content", nil)
	require.NoError(t, os.Symlink(d.objects+"a/b", d.objects+"a/link"))
	_, _, err := d.Open(t.Context(), "a/link", nil)
	require.ErrorIs(t, err, driver.ErrNotExist)
	_, err = d.Stat(t.Context(), "a/link")
	require.ErrorIs(t, err, driver.ErrNotExist)
	require.Equal(t, []string{"a/b"}, keys(t, d, "", nil))
}

// TestKeyThatIsADirectory: if a key is a directory of another key, the second of the two is
// refused.
func TestKeyThatIsADirectory(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	put(t, d, "a/b", "", nil)
	for _, opts := range []*driver.PutOptions{nil, {IfAbsent: true}, {Durability: driver.Deferred}} {
		_, err := d.Put(t.Context(), "a", nil, opts)
		require.Error(t, err)
		_, err = d.Put(t.Context(), "a/b/c", nil, opts)
		require.ErrorIs(t, err, driver.ErrKey)
	}
	require.Equal(t, []string{"a/b"}, keys(t, d, "", nil))
}
