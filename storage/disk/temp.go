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

// openTemp makes a directory for the temporary files of this Driver alone and holds an flock on it
// for as long as the process lives: that is how others know that its files are not left over.
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
			continue // taken for left over before it could be locked
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

// sweepTemp removes the temporary files of processes that are no more.
func sweepTemp(dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		path := filepath.Join(dir, e.Name())
		f, err := openFile(path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
		if err != nil {
			continue // gone meanwhile, or not of our making
		}
		if flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(path) // what cannot be removed is tried again next time
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
