//go:build linux || darwin

package disk

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// errNoDirectory: the directory of a change does not exist.
var errNoDirectory = errors.New("no such directory")

const (
	// ours is the distance, in nanoseconds, that the driver sets between the modification time and
	// the access time of a directory. A kernel never sets both times like this, so one lstat shows
	// whether the driver made the last change. The access time is the later one, so that a read
	// does not update it on file systems with the usual mount options.
	ours = int64(time.Hour) + 123

	// settled is the age, in nanoseconds, from which on a modification time set by the kernel is
	// reliable. Until the clock of the kernel has ticked, another change may get the same time.
	settled = int64(50 * time.Millisecond)
)

// edit describes how a change affects the entries of a directory.
type edit struct{ add, remove string }

// change makes one change in the directory at path under its lock. It then gives the directory a
// modification time that the directory never had before. So equal times mean equal names, and any
// process can cache the names for as long as the time stays the same.
//
// If the process dies between the two steps, the directory has a time set by the kernel, which is
// trusted only once it is settled. The same holds for changes by other programs.
//
// Errors: errNoDirectory; those of do, and then nothing was changed.
func (d *Driver) change(path string, do func() (edit, error)) error {
	l := d.lockOf(path)
	if err := l.lock(); err != nil {
		return err
	}
	defer l.unlock()
	var st syscall.Stat_t
	switch err := lstat(d.objects+path, &st); {
	case err == syscall.ENOENT:
		return errNoDirectory
	case err != nil:
		return os.NewSyscallError("lstat", err)
	case !isDir(&st):
		return syscall.ENOTDIR
	}
	e, err := do()
	if errors.Is(err, syscall.ENOENT) {
		return errNoDirectory // removed just now, which takes the lock of the directory above
	}
	if err != nil {
		return err
	}
	before := stampOf(&st)
	after := stamp{max(d.now(), before.mtime+1), st.Ino}
	if setTimes(d.objects+path, after.mtime+ours, after.mtime) != nil {
		d.lists.drop(path) // the kernel's time does for others; it only has to settle
		return nil
	}
	d.lists.change(path, before, after, e)
	return nil
}

// makeDirs creates the directory at path and those above it.
func (d *Driver) makeDirs(path string) error {
	for range maxAttempts {
		err := d.change(parent(path), func() (edit, error) {
			if err := os.Mkdir(d.objects+path, dirMode); err != nil {
				return edit{}, err
			}
			return edit{add: dirEntry(path)}, nil
		})
		switch {
		case err == nil || errors.Is(err, os.ErrExist):
			return nil
		case !errors.Is(err, errNoDirectory):
			return err
		}
		if err := d.makeDirs(parent(path)); err != nil {
			return err
		}
	}
	return errNoDirectory
}

// keptLevels is the number of levels of directories that stay when they are empty. A layout spreads
// its keys over them, so they would soon be made again.
const keptLevels = 2

// prune removes the directory at path if it is empty, and then its empty parents. It stops at the
// first error and does not report it, because an empty directory does no harm.
func (d *Driver) prune(path string) {
	for ; strings.Count(path, "/") >= keptLevels; path = parent(path) {
		if !isEmpty(d.objects+path) || d.removeDir(path) != nil {
			return
		}
	}
}

// removeDir removes an empty directory. Before that, it invalidates what all processes know about
// the durability of directories, see ledger.
func (d *Driver) removeDir(path string) error {
	if err := d.pruning.lock(); err != nil {
		return err
	}
	defer d.pruning.unlock()
	if err := d.forgetDir(path); err != nil {
		return err
	}
	return d.change(parent(path), func() (edit, error) {
		// Not os.Remove, which would remove a file, too.
		if err := syscall.Rmdir(d.objects + path); err != nil {
			return edit{}, err
		}
		d.lists.drop(path)
		return edit{remove: dirEntry(path)}, nil
	})
}

func isEmpty(dir string) bool {
	f, err := openFile(dir, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	_, err = f.Readdirnames(1)
	return err == io.EOF
}
