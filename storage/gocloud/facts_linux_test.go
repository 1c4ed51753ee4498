package gocloud_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/fileblob"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

func TestFactFileblobHidesUnreadableDirectories(t *testing.T) {
	dir := t.TempDir()
	raw, err := fileblob.OpenBucket(dir, &recommended)
	require.NoError(t, err)
	d, err := gocloud.New(t.Context(), raw, nil)
	require.NoError(t, err)
	put(t, d, "dir/key", "x", nil)
	sub := filepath.Join(dir, "dir-")
	require.NoError(t, os.Chmod(sub, 0))
	defer func() { _ = os.Chmod(sub, 0o700) }()
	require.NoError(t, os.Chmod(dir, 0o755))
	unprivileged(t, func() {
		require.Empty(t, listed(t, raw, 10))
		failed := 0
		for _, err := range d.List(t.Context(), "", nil) {
			require.ErrorIs(t, err, fs.ErrPermission)
			failed++
		}
		require.Equal(t, 1, failed)
	})
}

// unprivileged calls f on a thread to which file permissions apply, even if the test runs as root.
func unprivileged(t *testing.T, f func()) {
	if os.Getuid() != 0 {
		f()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const nobody = 65534
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
	require.Zero(t, errno)
	defer func() { _, _, _ = syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0) }()
	f()
}

// TestFilesOfOtherKindsAreNoObjects: on fileblob only a regular file is an object. No operation
// blocks on a FIFO.
func TestFilesOfOtherKindsAreNoObjects(t *testing.T) {
	for name, create := range map[string]func(path string) error{
		"fifo":              func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory":         func(path string) error { return os.Mkdir(path, 0o700) },
		"symlink to device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"symlink to file":   func(path string) error { return os.Symlink("/etc/hostname", path) },
		"symlink":           func(path string) error { return os.Symlink("nothing", path) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			raw, err := fileblob.OpenBucket(dir, &recommended)
			require.NoError(t, err)
			d, err := gocloud.New(t.Context(), raw, nil)
			require.NoError(t, err)
			put(t, d, "dir/object", "x", nil)
			require.NoError(t, create(filepath.Join(dir, "dir-/key")))
			done := waiting(func() error { return noObject(t.Context(), d, "dir/key") })
			select {
			case err := <-done:
				require.NoError(t, err)
			case <-time.After(time.Minute):
				require.FailNow(t, "blocked")
			}
			require.Equal(t, []string{"dir/object"}, keys(t, d, "", nil))
			if name != "directory" {
				put(t, d, "dir/key", "mine", &driver.PutOptions{IfAbsent: true})
				require.Equal(t, []string{"dir/key", "dir/object"}, keys(t, d, "", nil))
			}
		})
	}
}

// waiting calls f on a goroutine of its own. The goroutine is leaked if f never returns.
func waiting(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// noObject returns an error if any operation finds an object at key.
func noObject(ctx context.Context, d driver.Driver, key string) error {
	_, stat := d.Stat(ctx, key)
	_, _, open := d.Open(ctx, key, nil)
	_, changed := d.Put(ctx, key, nil, &driver.PutOptions{IfVersion: "x"})
	for op, err := range map[string]error{"stat": stat, "open": open, "delete": d.Delete(ctx, key, "")} {
		if !errors.Is(err, driver.ErrNotExist) {
			return fmt.Errorf("%s: %v", op, err) //nolint:errorlint // it is only shown
		}
	}
	if !errors.Is(changed, driver.ErrChanged) {
		return fmt.Errorf("put: %v", changed) //nolint:errorlint // it is only shown
	}
	return nil
}
