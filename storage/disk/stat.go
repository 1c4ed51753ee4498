//go:build linux || darwin

package disk

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

// stamp tells states of a file or directory apart. The driver gives what it writes modification
// times that it never uses twice, and those of other processes are at least in other files.
type stamp struct {
	mtime int64
	inode uint64
}

func stampOf(st *syscall.Stat_t) stamp { return stamp{mtime(st), st.Ino} }

// lstat is os.Lstat without its allocations.
func lstat(path string, st *syscall.Stat_t) error {
	for {
		if err := syscall.Lstat(path, st); err != syscall.EINTR {
			return err
		}
	}
}

// openFd is open(2). For regular files it spares the half dozen calls by which os.OpenFile finds
// that they cannot be polled.
func openFd(path string, flags int, mode uint32) (int, error) {
	for {
		fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, mode)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// openFile is os.OpenFile by openFd.
func openFile(path string, flags int, mode uint32) (*os.File, error) {
	fd, err := openFd(path, flags, mode)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func fstat(fd int, st *syscall.Stat_t) error {
	for {
		if err := syscall.Fstat(fd, st); err != syscall.EINTR {
			return err
		}
	}
}

func isFile(st *syscall.Stat_t) bool { return uint32(st.Mode)&syscall.S_IFMT == syscall.S_IFREG }

func isDir(st *syscall.Stat_t) bool { return uint32(st.Mode)&syscall.S_IFMT == syscall.S_IFDIR }

// openObject opens the object at a path below objects/ for reading, and fills st with its
// attributes. It never waits, as open(2) does for somebody to open the other end of a FIFO.
//
// Errors: driver.ErrNotExist, also for what is no regular file.
func (d *Driver) openObject(path string, st *syscall.Stat_t) (fd int, err error) {
	if fd, err = openFd(d.objects+path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0); err != nil {
		return -1, openError(err)
	}
	if err = fstat(fd, st); err == nil && !isFile(st) {
		err = driver.ErrNotExist
	}
	if err == nil {
		err = syscall.SetNonblock(fd, false) // else os.NewFile takes it for what can be polled
	}
	if err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openError returns what it means that an object could not be opened. Below a file there is
// nothing, and neither a symbolic link (ELOOP), a socket nor a device is an object.
func openError(err error) error {
	for _, e := range []syscall.Errno{
		syscall.ENOENT, syscall.ENOTDIR, syscall.ELOOP, syscall.ENXIO, syscall.ENODEV, syscall.EOPNOTSUPP,
	} {
		if errors.Is(err, e) {
			return driver.ErrNotExist
		}
	}
	return err
}

// object fills st with the attributes of the object at a path below objects/.
//
// Errors: driver.ErrNotExist, also for what is no regular file.
func (d *Driver) object(path string, st *syscall.Stat_t) error {
	switch err := lstat(d.objects+path, st); {
	case errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR):
		return driver.ErrNotExist
	case err != nil:
		return err
	case !isFile(st):
		return driver.ErrNotExist
	}
	return nil
}

// info returns what storage tells of an object with the attributes st.
func info(key string, st *syscall.Stat_t) driver.Info {
	ns := mtime(st)
	return driver.Info{Key: key, Size: st.Size, ModTime: time.Unix(0, ns), Version: version(st)}
}

// version returns the version of the object that a file with the attributes st is. What changes
// when a file is renamed (ctime) is no part of it.
func version(st *syscall.Stat_t) string {
	var buf [64]byte
	b := strconv.AppendInt(buf[:0], mtime(st), 36)
	b = append(b, '-')
	b = strconv.AppendUint(b, st.Ino, 36)
	b = append(b, '-')
	return string(strconv.AppendInt(b, st.Size, 36))
}

// now returns the wall clock in nanoseconds, and never the same twice.
func (d *Driver) now() int64 {
	for {
		last := d.clock.Load()
		t := max(time.Now().UnixNano(), last+1)
		if d.clock.CompareAndSwap(last, t) {
			return t
		}
	}
}

// failure makes err one of this package's: it names the key instead of a path and wraps the errors
// of package storage.
func failure(op, key string, err error) error {
	var class error
	switch {
	case isFull(err):
		class = driver.ErrNoSpace
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		class = driver.ErrUnavailable
	}
	if class != nil {
		err = &classified{class, err}
	}
	return &fs.PathError{Op: "disk: " + op, Path: key, Err: err}
}

// isFull reports whether err is that there is no room for more bytes, or files.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// classified is an error of the system that also is one of package storage.
type classified struct{ class, cause error }

func (e *classified) Error() string   { return e.class.Error() + ": " + e.cause.Error() }
func (e *classified) Unwrap() []error { return []error{e.class, e.cause} }
