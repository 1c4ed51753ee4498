//go:build linux || darwin

package disk

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// shards is the number of locks that the directories share. All processes must agree on it.
const shards = 64

// fileLock excludes goroutines by a mutex and processes by an flock(2). It needs both, because an
// flock belongs to the open file, which all goroutines share. The file stays open from makeLocks to
// close: opening it for each change would double the cost of the lock.
type fileLock struct {
	mu sync.Mutex
	fd int // -1 if the file is not open
}

func (l *fileLock) open(path string) (err error) {
	if l.fd, err = openFd(path, syscall.O_RDWR|syscall.O_CREAT, fileMode); err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	return nil
}

func (l *fileLock) lock() error {
	l.mu.Lock()
	if l.fd < 0 {
		l.mu.Unlock()
		return errClosed
	}
	if err := flock(l.fd, syscall.LOCK_EX); err != nil {
		l.mu.Unlock()
		return os.NewSyscallError("flock", err)
	}
	return nil
}

// tryLock is lock for a caller that does not wait. It reports whether it has taken the lock.
func (l *fileLock) tryLock() (bool, error) {
	if !l.mu.TryLock() {
		return false, nil
	}
	err := error(errClosed)
	if l.fd >= 0 {
		err = flock(l.fd, syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if err == nil {
		return true, nil
	}
	l.mu.Unlock()
	if err == syscall.EWOULDBLOCK {
		return false, nil
	}
	return false, err
}

func (l *fileLock) unlock() {
	_ = flock(l.fd, syscall.LOCK_UN)
	l.mu.Unlock()
}

// close waits until nothing holds the lock.
func (l *fileLock) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd >= 0 {
		_ = syscall.Close(l.fd) // nothing was written
		l.fd = -1
	}
}

func flock(fd, how int) error {
	for {
		if err := syscall.Flock(fd, how); err != syscall.EINTR {
			return err
		}
	}
}

// makeLocks opens the lock files in dir and creates those that are missing. After an error, it has
// closed them again. A full file system has no room for new ones when an object must be deleted, so
// New creates all of them.
func (d *Driver) makeLocks(dir string) error {
	d.pruned = filepath.Join(dir, "prune")
	d.pruning.fd = -1
	for i := range d.locks {
		d.locks[i].fd = -1
	}
	err := d.pruning.open(d.pruned)
	for i := range d.locks {
		if err == nil {
			err = d.locks[i].open(filepath.Join(dir, strconv.Itoa(i)))
		}
	}
	if err != nil {
		d.closeLocks()
	}
	return err
}

// closeLocks closes the lock files. It waits until no call holds a lock.
func (d *Driver) closeLocks() {
	d.pruning.close()
	for i := range d.locks {
		d.locks[i].close()
	}
}

// lockOf returns the lock of the directory at path. A goroutine must never hold two of them,
// because two directories may share a lock.
func (d *Driver) lockOf(path string) *fileLock {
	h := uint32(2166136261) // FNV-1a, which must be the same in all processes
	for i := range len(path) {
		h = (h ^ uint32(path[i])) * 16777619
	}
	return &d.locks[(h^h>>16)%shards]
}
