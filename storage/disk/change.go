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

// errNoDirectory is returned when the directory of a change does not exist.
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
type edit struct {
	add    string // an entry that the directory has now, and perhaps had before
	state  state  // of that entry, if it is a file
	remove string // an entry that the directory no longer has
	seq    int64  // the number of the change, if it is greater than the one that do has received
}

// change makes one change in the directory at path under its lock. It then gives the directory a
// modification time that the directory never had before. So equal times mean equal names, and any
// process can cache the names for as long as the time stays the same.
//
// The times of a directory ascend, so the time of a change is also its sequence number, which do
// receives: of two changes of a key, the later one has the greater number, whichever processes made
// them and whatever the clock did in between. It is at, if that is later than the last change of
// the directory. The caller has taken at from d.now. The first change of a new directory is also
// later than every change in an earlier directory at its path, because the removal of that
// directory has begun a later epoch.
//
// If the process dies between the two steps, the directory has a time set by the kernel, which is
// trusted only once it is settled. The same holds for changes by other programs.
//
// Errors: errNoDirectory; those of do, and then nothing was changed.
func (d *Driver) change(path string, at int64, do func(seq int64) (edit, error)) error {
	l := d.lockOf(path)
	if err := l.lock(); err != nil {
		return err
	}
	defer l.unlock()
	var st syscall.Stat_t
	full := d.objects + path
	switch err := lstat(full, &st); {
	case err == syscall.ENOENT:
		return errNoDirectory
	case err != nil:
		return os.NewSyscallError("lstat", err)
	case !isDir(&st):
		return syscall.ENOTDIR
	}
	before, last := stampOf(&st), mtime(&st)
	if atime(&st) != last+ours { // perhaps a new directory
		epoch, err := d.epoch()
		if err != nil {
			return err
		}
		last = max(last, epoch)
	}
	after := stamp{max(at, last+1), st.Ino}
	e, err := do(after.mtime)
	if errors.Is(err, syscall.ENOENT) {
		return errNoDirectory // removed just now, which takes the lock of the directory above
	}
	if err != nil {
		return err
	}
	after.mtime = max(after.mtime, e.seq)
	if setTimes(full, after.mtime+ours, after.mtime) != nil {
		d.lists.drop(path) // the kernel's time does for others; it only has to settle
		return nil
	}
	d.lists.change(path, before, after, e)
	return nil
}

// makeDirs creates the directory at path and those above it.
func (d *Driver) makeDirs(path string) error {
	for range maxAttempts {
		top, under := path, parent(path)
		var st syscall.Stat_t
		for under != "" && lstat(d.objects+under, &st) == syscall.ENOENT {
			top, under = under, parent(under)
		}
		made, err := d.newTree(path[len(top):])
		if err != nil {
			return err
		}
		err = d.change(under, d.now(), func(int64) (edit, error) {
			if made == "" {
				err := syscall.Mkdir(d.objects+top, dirMode)
				return edit{add: dirEntry(top)}, os.NewSyscallError("mkdir", err)
			}
			return edit{add: dirEntry(top)}, d.placeDir(made, top)
		})
		if err != nil && made != "" {
			_ = os.RemoveAll(made)
		}
		switch {
		case err == nil || top == path && errors.Is(err, os.ErrExist):
			return nil
		case !errors.Is(err, errNoDirectory) && !errors.Is(err, os.ErrExist):
			return err
		}
	}
	return errNoDirectory
}

// newTree creates a directory in tmp/ with the directories at below, a path that begins with "/",
// and returns its path. So several directories take one change of objects/. If below is empty,
// newTree does nothing and returns "".
func (d *Driver) newTree(below string) (string, error) {
	if below == "" {
		return "", nil
	}
	made := d.newTempPath()
	for i := range len(below) + 1 {
		if i < len(below) && below[i] != '/' {
			continue
		}
		if err := syscall.Mkdir(made+below[:i], dirMode); err != nil {
			return "", errors.Join(os.NewSyscallError("mkdir", err), os.RemoveAll(made))
		}
	}
	return made, nil
}

// placeDir renames a directory to a path below objects/ where nothing is. The caller holds the lock
// of the directory above, so no other process makes one at the same time.
func (d *Driver) placeDir(from, path string) error {
	err := renameNew(from, d.objects+path)
	if !isUnsupported(err) {
		return os.NewSyscallError("rename", err)
	}
	var st syscall.Stat_t
	switch err := lstat(d.objects+path, &st); {
	case err == nil:
		return os.ErrExist
	case err != syscall.ENOENT:
		return os.NewSyscallError("lstat", err)
	}
	return os.NewSyscallError("rename", syscall.Rename(from, d.objects+path))
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
	fd, err := openFd(d.objects+path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return os.NewSyscallError("open", err)
	}
	defer func() { _ = syscall.Close(fd) }()
	return d.change(parent(path), d.now(), func(int64) (edit, error) {
		// Not os.Remove, which would remove a file, too.
		if err := syscall.Rmdir(d.objects + path); err != nil {
			return edit{}, err
		}
		d.lists.drop(path)
		var st syscall.Stat_t
		if err := fstat(fd, &st); err != nil {
			return edit{}, err
		}
		return edit{remove: dirEntry(path)}, d.endDir(&st)
	})
}

// endDir makes the epoch later than the last change of a directory that was just removed. An object
// may have come and gone since forgetDir. The caller holds the lock d.pruning, and that of the
// directory above, so nothing has made the directory again.
func (d *Driver) endDir(st *syscall.Stat_t) error {
	epoch, err := d.epoch()
	if err != nil || epoch > mtime(st) {
		return err
	}
	return setTimes(d.pruned, mtime(st)+1, mtime(st)+1)
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
