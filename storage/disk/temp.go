//go:build linux || darwin

package disk

import (
	"errors"
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

// createTemp opens a new temporary file.
func (d *Driver) createTemp() (*os.File, error) {
	path := d.temp + strconv.FormatUint(d.tempNames.Add(1), 36)
	return openFile(path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, fileMode)
}
