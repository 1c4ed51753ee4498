//go:build linux || darwin

package disk

import (
	"os"
	"sync"
	"syscall"

	"github.com/registrykit/registry/internal/lru"
)

// maxKnown is the maximum number of entries of each cache of the ledger. What is forgotten is
// synced once more than needed.
const maxKnown = 16384

// safety is the part of a file with a certain stamp that is known to survive a loss of power.
type safety uint8

const (
	unknown     safety = iota
	contentSafe        // its bytes
	wholeSafe          // its name and all directories above it, too: nothing is left to sync while it has this stamp
)

// ledger records the files and directories that this process knows to be durable. It need not be
// complete: anything that is not in it is synced.
//
// A file with a known stamp is the file that was synced, whatever other processes do. A directory
// has no such mark: another process may have removed it and made it again without syncing it. So
// every process changes the modification time of the file locks/prune before it removes a
// directory, and the records of directories are valid for as long as that time stays the same.
type ledger struct {
	mu    sync.Mutex
	files *lru.Cache[stamp, safety]
	dirs  *lru.Cache[string, struct{}] // guarded by mu together with epoch
	epoch int64                        // the modification time of locks/prune that dirs belongs to
}

func newLedger() ledger {
	return ledger{
		files: lru.New[stamp, safety](maxKnown),
		dirs:  lru.New[string, struct{}](maxKnown),
	}
}

func (l *ledger) file(s stamp) safety {
	v, _ := l.files.Get(s)
	return v
}

func (l *ledger) add(s stamp, v safety) {
	l.files.Add(s, v, 1)
}

// enter makes epoch the current epoch, unless a later one is. It drops the records of directories
// from earlier epochs.
func (l *ledger) enter(epoch int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch > l.epoch {
		l.dirs, l.epoch = lru.New[string, struct{}](maxKnown), epoch
	}
}

// dir reports whether the directory at path, found in the given epoch, and all above it are
// durable.
func (l *ledger) dir(epoch int64, path string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return false
	}
	_, ok := l.dirs.Get(path)
	return ok
}

// addDirs notes directories that were found and synced in the given epoch.
func (l *ledger) addDirs(epoch int64, paths map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.epoch {
		return
	}
	for path := range paths {
		l.dirs.Add(path, struct{}{}, 1)
	}
}

// epoch returns the current epoch, and makes it that of the ledger.
func (d *Driver) epoch() (int64, error) {
	var st syscall.Stat_t
	if err := lstat(d.pruned, &st); err != nil {
		return 0, os.NewSyscallError("lstat", err)
	}
	e := mtime(&st)
	d.known.enter(e)
	return e, nil
}

// forgetDir begins a new epoch, in which the directory at path is no longer recorded. The epoch is
// later than the last change of the directory. The caller holds the lock d.pruning.
func (d *Driver) forgetDir(path string) error {
	old, err := d.epoch()
	if err != nil {
		return err
	}
	var st syscall.Stat_t
	if err := lstat(d.objects+path, &st); err != nil {
		return os.NewSyscallError("lstat", err)
	}
	next := max(d.now(), old+1, mtime(&st)+1)
	if err := setTimes(d.pruned, next, next); err != nil {
		return err
	}
	d.known.mu.Lock()
	defer d.known.mu.Unlock()
	if d.known.epoch == old { // no other process has removed a directory, so the other entries are still valid
		d.known.dirs.Remove(path)
		d.known.epoch = next
	}
	return nil
}
