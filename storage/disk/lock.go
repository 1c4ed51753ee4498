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
// flock belongs to the open file, which all goroutines share. The file is open only while the lock
// is held, so an idle Driver holds no lock file open.
type fileLock struct {
	path string
	mu   sync.Mutex
	fd   int // valid while mu is held
}

func (l *fileLock) open() error {
	fd, err := openFd(l.path, syscall.O_RDWR|syscall.O_CREAT, fileMode)
	if err != nil {
		return &os.PathError{Op: "open", Path: l.path, Err: err}
	}
	l.fd = fd
	return nil
}

func (l *fileLock) lock() error {
	l.mu.Lock()
	if err := l.open(); err != nil {
		l.mu.Unlock()
		return err
	}
	if err := flock(l.fd, syscall.LOCK_EX); err != nil {
		l.unlock()
		return os.NewSyscallError("flock", err)
	}
	return nil
}

// unlock releases the lock. Nothing else has the file open, so closing it ends the flock.
func (l *fileLock) unlock() {
	_ = syscall.Close(l.fd) // nothing was written
	l.mu.Unlock()
}

func flock(fd, how int) error {
	for {
		if err := syscall.Flock(fd, how); err != syscall.EINTR {
			return err
		}
	}
}

// makeLocks creates the lock files in dir. New creates them all, because a full file system would
// have no room for them when an object must be deleted.
func (d *Driver) makeLocks(dir string) error {
	d.pruning.path = filepath.Join(dir, "prune")
	locks := []*fileLock{&d.pruning}
	for i := range d.locks {
		d.locks[i].path = filepath.Join(dir, strconv.Itoa(i))
		locks = append(locks, &d.locks[i])
	}
	for _, l := range locks {
		if err := l.open(); err != nil {
			return err
		}
		_ = syscall.Close(l.fd) // nothing was written
	}
	return nil
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
