package gocloud_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/fileblob"

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

// unprivileged calls f on a thread for which permissions of files hold, also if the test runs as root.
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
