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

// stamp identifies a state of a file or directory. The driver never uses a modification time twice,
// and other processes that use the same time use it for other inodes.
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

// openFd is open(2). It avoids the half dozen system calls by which os.OpenFile finds out that a
// regular file cannot be polled.
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

// isUnsupported reports whether err means that the file system or the system does not know a call
// or one of its flags.
func isUnsupported(err error) bool {
	return err == syscall.EINVAL || err == syscall.ENOSYS || err == syscall.ENOTSUP
}

// isOurs reports whether the driver, not the kernel, has set the times of a directory.
func isOurs(st *syscall.Stat_t) bool { return atime(st) == mtime(st)+ours }

func isFile(st *syscall.Stat_t) bool { return uint32(st.Mode)&syscall.S_IFMT == syscall.S_IFREG }

func isDir(st *syscall.Stat_t) bool { return uint32(st.Mode)&syscall.S_IFMT == syscall.S_IFDIR }

// openObject opens the object at a path below objects/ for reading, and fills st with its
// attributes. It never blocks, unlike open(2) of a FIFO without O_NONBLOCK.
//
// Errors: driver.ErrNotExist, also for what is no regular file.
func (d *Driver) openObject(path string, st *syscall.Stat_t) (fd int, err error) {
	if fd, err = openFd(d.objects+path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0); err != nil {
		return -1, openError(err)
	}
	if err = fstat(fd, st); err == nil && !isFile(st) {
		err = driver.ErrNotExist
	}
	if err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// openError turns an error of open(2) into driver.ErrNotExist if there is no object at the path.
// There is none below a file, and a symbolic link (ELOOP), a socket or a device is not an object.
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

// hasOtherNames reports whether the file has a further hard link: it was taken over by Adopt, and the
// source is still there.
func hasOtherNames(st *syscall.Stat_t) bool { return uint64(st.Nlink) > 1 }

// info returns the Info of an object with the attributes st. The modification time of a file that was
// taken over is that of its source, so the Info has the time of the last change of its names. Otherwise
// collections would take the new object for an old one.
func info(key string, st *syscall.Stat_t) driver.Info { return infoOf(key, st, version(st)) }

// infoOf is info for a known version.
func infoOf(key string, st *syscall.Stat_t, version string) driver.Info {
	ns := mtime(st)
	if hasOtherNames(st) {
		ns = max(ns, ctime(st))
	}
	return driver.Info{Key: key, Size: st.Size, ModTime: time.Unix(0, ns), Version: version}
}

// version returns the version of an object whose file has the attributes st. It leaves out ctime,
// which a rename changes.
func version(st *syscall.Stat_t) string { return fileState(st).version() }

// hasVersion reports whether v is the version of an object whose file has the attributes st.
func hasVersion(st *syscall.Stat_t, v string) bool {
	var buf [maxVersion]byte
	return string(fileState(st).appendVersion(buf[:0])) == v
}

// maxVersion is more than the length of any version, in bytes.
const maxVersion = 64

// version returns the version of an object in the state s.
func (s state) version() string {
	var buf [maxVersion]byte
	return string(s.appendVersion(buf[:0]))
}

func (s state) appendVersion(b []byte) []byte {
	b = strconv.AppendInt(b, s.mtime, 36)
	b = append(b, '-')
	b = strconv.AppendUint(b, s.inode, 36)
	b = append(b, '-')
	return strconv.AppendInt(b, s.size, 36)
}

// now returns the time of the wall clock in nanoseconds. It never returns the same time twice.
func (d *Driver) now() int64 {
	for {
		last := d.clock.Load()
		t := max(time.Now().UnixNano(), last+1)
		if d.clock.CompareAndSwap(last, t) {
			return t
		}
	}
}

// failure returns the error of an operation for the caller of the Driver. It names the key instead
// of a path, and wraps the error of the package driver that err means.
func failure(op, key string, err error) error {
	var class error
	switch {
	case isFull(err):
		class = driver.ErrNoSpace
	case hasNoDescriptor(err):
		class = driver.ErrUnavailable
	}
	if class != nil {
		err = &classified{class, err}
	}
	return &fs.PathError{Op: "disk: " + op, Path: key, Err: err}
}

// hasNoDescriptor reports whether err means that too many files are open.
func hasNoDescriptor(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// isFull reports whether err means that the file system has no room for more bytes or files.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// classified is an error of the system that also wraps one of the package driver.
type classified struct{ class, cause error }

func (e *classified) Error() string   { return e.class.Error() + ": " + e.cause.Error() }
func (e *classified) Unwrap() []error { return []error{e.class, e.cause} }
