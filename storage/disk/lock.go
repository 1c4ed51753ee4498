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

// fileLock excludes goroutines by a mutex and processes by an flock(2). It takes both, since an flock belongs to
// the open file, which all goroutines have in common.
type fileLock struct {
	mu   sync.Mutex
	file *os.File
	fd   int
}

func (l *fileLock) open(path string) error {
	f, err := openFile(path, syscall.O_RDWR|syscall.O_CREAT, fileMode)
	if err != nil {
		return err
	}
	l.file, l.fd = f, int(f.Fd())
	return nil
}

func (l *fileLock) lock() error {
	l.mu.Lock()
	if err := flock(l.fd, syscall.LOCK_EX); err != nil {
		l.mu.Unlock()
		return os.NewSyscallError("flock", err)
	}
	return nil
}

func (l *fileLock) unlock() {
	_ = flock(l.fd, syscall.LOCK_UN) // cannot fail for a lock that is held
	l.mu.Unlock()
}

func flock(fd, how int) error {
	for {
		if err := syscall.Flock(fd, how); err != syscall.EINTR {
			return err
		}
	}
}

// openLocks opens the lock files in dir.
func (d *Driver) openLocks(dir string) error {
	for i := range d.locks {
		if err := d.locks[i].open(filepath.Join(dir, strconv.Itoa(i))); err != nil {
			return err
		}
	}
	return d.pruning.open(filepath.Join(dir, "prune"))
}

func (d *Driver) closeLocks() {
	for i := range d.locks {
		_ = d.locks[i].file.Close() // a nil file is no harm
	}
	_ = d.pruning.file.Close()
}

// lockOf returns the lock of the directory at path. No two of them are ever held at once, since they may be the same.
func (d *Driver) lockOf(path string) *fileLock {
	h := uint32(2166136261) // FNV-1a, which must be the same in all processes
	for i := range len(path) {
		h = (h ^ uint32(path[i])) * 16777619
	}
	return &d.locks[(h^h>>16)%shards]
}
