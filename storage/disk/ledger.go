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

// safety is what is known to survive a loss of power of the file with a certain stamp.
type safety uint8

const (
	unknown     safety = iota
	contentSafe        // its bytes
	wholeSafe          // its name and all directories above it, too: nothing is left to sync while it has this stamp
)

// ledger is what this process knows to be durable, of files and of directories. It needs not know
// what any process has left undone: what is not in it is synced.
//
// A file with a known stamp is the very file that was synced, whoever else writes here. A directory
// has no such mark of its own: another process may have removed it and made it again, which nobody
// has synced. So whoever removes a directory first changes the modification time of the file
// locks/prune, and knowledge of directories holds for as long as that stays the same.
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

// enter makes epoch the current one, unless a later one is: all knowledge of directories from an
// earlier one is dropped.
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

// epoch returns the current epoch, which is that of the ledger from now on.
func (d *Driver) epoch() (int64, error) {
	var st syscall.Stat_t
	if err := lstat(d.pruning.path, &st); err != nil {
		return 0, os.NewSyscallError("lstat", err)
	}
	e := mtime(&st)
	d.known.enter(e)
	return e, nil
}

// forgetDir begins a new epoch, in which the directory at path is not known any more. It is called
// under the lock d.pruning.
func (d *Driver) forgetDir(path string) error {
	old, err := d.epoch()
	if err != nil {
		return err
	}
	next := max(d.now(), old+1)
	if err := setTimes(d.pruning.path, next, next); err != nil {
		return err
	}
	d.known.mu.Lock()
	defer d.known.mu.Unlock()
	if d.known.epoch == old { // nobody else removed one meanwhile, so the others are still what they were
		d.known.dirs.Remove(path)
		d.known.epoch = next
	}
	return nil
}
