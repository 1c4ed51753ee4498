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
	// ours is what the driver puts between a directory's modification time and its access time. A
	// kernel sets the former when a directory changes and never both like this, so one look tells
	// whether the driver was the last to change it. The access time is the later one, so that
	// reading does not update it on file systems mounted as usual.
	ours = int64(time.Hour) + 123

	// settled is how old a modification time of the kernel's must be before it is relied upon:
	// until its clock has ticked for certain, another change may get the same time.
	settled = int64(50 * time.Millisecond)
)

// An edit is what a change does to the entries of a directory.
type edit struct{ add, remove string }

// change makes one change in the directory at path under its lock and gives the directory a
// modification time that it never had before, so that equal times mean equal names, and any process
// can keep names in memory for as long as the time stays.
//
// If the process dies between the two, the time is the kernel's, which is relied upon only once it
// is settled; so is the time that others leave who write here without this package.
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

// keptLevels is how many levels of directories stay when they are empty: those that a layout
// spreads its keys over, which would be made again at once.
const keptLevels = 2

// prune removes the directory at path if it is empty, and then those above it. That is tidiness:
// errors end it and are not reported.
func (d *Driver) prune(path string) {
	for ; strings.Count(path, "/") >= keptLevels; path = parent(path) {
		if !isEmpty(d.objects+path) || d.removeDir(path) != nil {
			return
		}
	}
}

// removeDir removes an empty directory. Before it does, it makes known to all processes that what
// they know of directories may no longer be so, see ledger.
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
