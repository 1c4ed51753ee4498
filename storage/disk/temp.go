//go:build linux || darwin

package disk

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// openTemp creates a directory for the temporary files of this Driver. It holds an flock on the
// directory until Close or the end of the process, which shows other processes that the files are
// in use.
func (d *Driver) openTemp(dir string) error {
	for {
		path := filepath.Join(dir, strconv.FormatUint(rand.Uint64(), 36))
		if err := os.Mkdir(path, dirMode); errors.Is(err, os.ErrExist) {
			continue
		} else if err != nil {
			return err
		}
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue // swept by another process before it could be locked
		}
		if err != nil {
			return err
		}
		var held, there syscall.Stat_t
		if flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil &&
			syscall.Fstat(int(f.Fd()), &held) == nil && lstat(path, &there) == nil && held.Ino == there.Ino {
			d.temp, d.tempLock = path+"/", f
			return nil
		}
		_ = f.Close()
	}
}

// sweepTemp removes the temporary files of processes that have ended.
func sweepTemp(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		f, err := openFile(path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			continue // removed by another process, or not a directory of a Driver
		}
		if flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path) // the next New tries again
		}
		_ = f.Close()
	}
	return nil
}

// tempFile is a temporary file that is open for writing. It is a bare descriptor, because an
// [os.File] costs allocations and a system call, and most objects need only one write.
type tempFile struct {
	path string
	fd   int
	file *os.File // see osFile
}

// newTemp opens a new temporary file.
func (d *Driver) newTemp() (tempFile, error) {
	path := d.newTempPath()
	fd, err := openFd(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, fileMode)
	if err != nil {
		return tempFile{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return tempFile{path: path, fd: fd}, nil
}

// newTempPath returns an unused path for a temporary file.
func (d *Driver) newTempPath() string {
	return d.temp + strconv.FormatUint(d.tempNames.Add(1), 36)
}

// createTemp is newTemp for an [os.File].
func (d *Driver) createTemp() (*os.File, error) {
	t, err := d.newTemp()
	if err != nil {
		return nil, err
	}
	return t.osFile(), nil
}

// osFile returns the file as an [os.File], which close closes.
func (t *tempFile) osFile() *os.File {
	if t.file == nil {
		t.file = os.NewFile(uintptr(t.fd), t.path)
	}
	return t.file
}

// Write implements [io.Writer].
func (t *tempFile) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := syscall.Write(t.fd, p[done:])
		if err == syscall.EINTR {
			continue
		}
		if err == nil && n == 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return done, &os.PathError{Op: "write", Path: t.path, Err: err}
		}
		done += n
	}
	return done, nil
}

func (t *tempFile) close() error {
	if t.file != nil {
		return t.file.Close()
	}
	return syscall.Close(t.fd)
}
