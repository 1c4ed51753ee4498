//go:build linux || darwin

package disk

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// within fails the test if f does not return. A blocked open(2) cannot be interrupted, so the
// goroutine of f is leaked.
func within(t *testing.T, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Minute):
		require.FailNow(t, "blocked", what)
		return nil
	}
}

// strange creates files that are not regular files.
var strange = map[string]func(t *testing.T, path string) error{
	"fifo":      func(_ *testing.T, path string) error { return syscall.Mkfifo(path, 0o600) },
	"directory": func(_ *testing.T, path string) error { return os.Mkdir(path, 0o700) },
	"socket": func(t *testing.T, path string) error {
		// The path of a socket must be short, and that of a test is not.
		short, err := os.MkdirTemp("", "s")
		require.NoError(t, err)
		t.Cleanup(func() { _ = os.RemoveAll(short) })
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: short + "/s", Net: "unix"})
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		return os.Rename(short+"/s", path)
	},
	"device": func(t *testing.T, path string) error {
		if err := syscall.Mknod(path, syscall.S_IFCHR|0o600, 1<<8|3); errors.Is(err, fs.ErrPermission) {
			t.Skip("only root can make a device")
		} else {
			return err
		}
		return nil
	},
	"symlink to a device": func(_ *testing.T, path string) error { return os.Symlink("/dev/zero", path) },
	"symlink to a fifo": func(t *testing.T, path string) error {
		fifo := filepath.Join(t.TempDir(), "fifo")
		return errors.Join(syscall.Mkfifo(fifo, 0o600), os.Symlink(fifo, path))
	},
	"symlink to a file": func(t *testing.T, path string) error {
		file := filepath.Join(t.TempDir(), "file")
		return errors.Join(os.WriteFile(file, []byte("elsewhere"), 0o600), os.Symlink(file, path))
	},
	"symlink to nothing": func(_ *testing.T, path string) error { return os.Symlink("nothing", path) },
}

// TestFilesOfOtherKindsAreNoObjects: a file in the directory that is not a regular file is not an
// object, and no operation blocks on it.
func TestFilesOfOtherKindsAreNoObjects(t *testing.T) {
	for name, make := range strange {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			d, err := New(dir, nil)
			require.NoError(t, err)
			ctx := t.Context()
			_, err = d.Put(ctx, "a/object", strings.NewReader("content"), nil)
			require.NoError(t, err)
			require.NoError(t, make(t, filepath.Join(dir, "objects/a/key")))
			for _, key := range []string{"a/key", "a/key/below"} {
				require.ErrorIs(t, within(t, "Stat", func() error { _, err := d.Stat(ctx, key); return err }), driver.ErrNotExist)
				for _, opts := range []*driver.OpenOptions{nil, {IfNotVersion: "x"}, {Offset: 1, Length: 1}} {
					require.ErrorIs(t, within(t, "Open", func() error { _, _, err := d.Open(ctx, key, opts); return err }),
						driver.ErrNotExist)
				}
				require.ErrorIs(t, within(t, "Delete", func() error { return d.Delete(ctx, key, "") }), driver.ErrNotExist)
				require.NoError(t, within(t, "Sync", func() error { return d.Sync(ctx, key) }))
				require.ErrorIs(t, within(t, "Put", func() error {
					_, err := d.Put(ctx, key, strings.NewReader("x"), &driver.PutOptions{IfVersion: "x"})
					return err
				}), driver.ErrChanged)
			}
			for _, opts := range []*driver.ListOptions{nil, {KeysOnly: true}} {
				var keys []string
				require.NoError(t, within(t, "List", func() error {
					for _, prefix := range []string{"", "a/key/"} {
						for info, err := range d.List(ctx, prefix, opts) {
							if err != nil {
								return err
							}
							keys = append(keys, info.Key)
						}
					}
					return nil
				}))
				require.Equal(t, []string{"a/object"}, keys)
			}
			err = within(t, "Put", func() error {
				_, err := d.Put(ctx, "a/key", strings.NewReader("mine"), &driver.PutOptions{IfAbsent: true})
				return err
			})
			if name == "directory" {
				require.ErrorIs(t, err, driver.ErrKey)
				return
			}
			require.NoError(t, err, "it makes room for an object")
			r, _, err := d.Open(ctx, "a/key", nil)
			require.NoError(t, err)
			content, err := io.ReadAll(r)
			require.NoError(t, errors.Join(err, r.Close()))
			require.Equal(t, "mine", string(content))
		})
	}
}
