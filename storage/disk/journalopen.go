//go:build linux || darwin

package disk

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// errOtherMode is returned by New if another process syncs the directory in another way.
var errOtherMode = errors.New("another process uses the directory with another choice of NoJournal or NoSync")

// usage holds the lock that shows how this Driver uses the directory.
type usage struct {
	opening string   // the path of locks/open
	life    *os.File // locks/journal or locks/direct
}

// openJournal opens the journal of the directory dir. If the Driver works without a journal, it
// ensures that the directory has none. It replays the journal if no other process uses the
// directory.
func (d *Driver) openJournal(dir, locks string, without bool) error {
	d.usage.opening = filepath.Join(locks, "open")
	unlock, err := d.usage.lock()
	if err != nil {
		return err
	}
	defer unlock()
	mine, other := filepath.Join(locks, "journal"), filepath.Join(locks, "direct")
	if without {
		mine, other = other, mine
	}
	if err := refuseOther(other); err != nil {
		return err
	}
	life, err := openFile(mine, syscall.O_RDWR|syscall.O_CREAT, fileMode)
	if err != nil {
		return err
	}
	alone, err := tryExclusive(life)
	if err == nil {
		err = d.prepareJournal(dir, locks, without, alone)
	}
	if err == nil {
		err = os.NewSyscallError("flock", flock(int(life.Fd()), syscall.LOCK_SH))
	}
	if err != nil {
		return errors.Join(err, life.Close())
	}
	d.usage.life = life
	return nil
}

// refuseOther returns errOtherMode if a process holds the lock at path.
func refuseOther(path string) error {
	f, err := openFile(path, syscall.O_RDWR|syscall.O_CREAT, fileMode)
	if err != nil {
		return err
	}
	free, err := tryExclusive(f)
	if err == nil && !free {
		err = errOtherMode
	}
	return errors.Join(err, f.Close())
}

// tryExclusive takes the exclusive lock of f, if nobody else holds a lock of it.
func tryExclusive(f *os.File) (bool, error) {
	err := flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == syscall.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, os.NewSyscallError("flock", err)
}

// lock excludes other calls of New and Close.
func (u *usage) lock() (unlock func(), err error) {
	f, err := openFile(u.opening, syscall.O_RDWR|syscall.O_CREAT, fileMode)
	if err != nil {
		return nil, err
	}
	if err := flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(os.NewSyscallError("flock", err), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// prepareJournal sets d.journal, unless the Driver works without a journal. alone reports that no
// other process uses the directory.
func (d *Driver) prepareJournal(dir, locks string, without, alone bool) error {
	segments := filepath.Join(dir, "journal")
	if without {
		if _, err := os.Stat(segments); !alone || errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	j := newJournal(d, segments)
	err := j.open(locks, alone)
	if err == nil && without {
		err = j.drain()
	}
	if err != nil || without {
		return errors.Join(err, j.close())
	}
	d.journal = j
	return nil
}

// open opens the files of the journal.
func (j *journal) open(locks string, alone bool) (err error) {
	if err := j.d.makeRoot(j.dir[:len(j.dir)-1]); err != nil {
		return err
	}
	if j.root, err = os.Open(j.d.objects); err != nil {
		return err
	}
	if err := j.checkpointing.open(filepath.Join(locks, "checkpoint")); err != nil {
		return err
	}
	j.state, err = openFile(filepath.Join(locks, "append"), syscall.O_RDWR|syscall.O_CREAT, fileMode)
	if err != nil || !alone {
		return err
	}
	return j.recover()
}

// drain makes everything durable that the journal describes, and removes its segments. It leaves a
// journal that has failed as it is.
func (j *journal) drain() error {
	if err := j.lockBoth(); err != nil {
		return err
	}
	defer j.unlockBoth()
	if j.now.empty() || j.now.flags&failed != 0 {
		return nil // what has failed is left to the next New
	}
	return j.flush()
}

// close closes the files of the journal.
func (j *journal) close() error {
	j.checkpointing.close()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closeFile()
	var errs []error
	for _, f := range []**os.File{&j.root, &j.state} {
		if *f != nil {
			errs = append(errs, (*f).Close())
			*f = nil
		}
	}
	return errors.Join(errs...)
}

// closeJournal closes the journal. If no other process uses the directory, closeJournal drains it.
func (d *Driver) closeJournal() error {
	if d.usage.life == nil {
		return nil
	}
	var errs []error
	unlock, err := d.usage.lock()
	if err == nil {
		defer unlock() // after all files are closed
		errs = append(errs, d.drainIfAlone())
	}
	errs = append(errs, err)
	if d.journal != nil {
		errs = append(errs, d.journal.close())
	}
	return errors.Join(append(errs, d.usage.life.Close())...)
}

// drainIfAlone drains the journal if no other process uses the directory. The caller holds the lock
// of New and Close.
func (d *Driver) drainIfAlone() error {
	if d.journal == nil {
		return nil
	}
	alone, err := tryExclusive(d.usage.life)
	if err != nil || !alone {
		return err
	}
	return d.journal.drain()
}

// checkVersions returns an error if the journal in dir has a version that this program does not
// know.
func checkVersions(dir string) error {
	j := &journal{dir: filepath.Join(dir, "journal") + "/"}
	all, err := j.generations()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, g := range all {
		f, err := j.openSegment(g)
		if err != nil {
			return err
		}
		b := make([]byte, headerSize)
		n, err := f.ReadAt(b, 0)
		_ = f.Close()
		if err != nil && err != io.EOF {
			return err
		}
		if err := checkHeader(f.Name(), b[:n]); err != nil {
			return err
		}
	}
	return nil
}
