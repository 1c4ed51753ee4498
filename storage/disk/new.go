//go:build linux || darwin

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/registrykit/registry/internal/copybuf"
	"github.com/registrykit/registry/storage/driver"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// Driver implements [driver.Driver] on a directory. The reader that Open returns also implements
// [io.Seeker] and [syscall.Conn].
//
// The Driver holds its directory in tmp/ and the files of its locks and of the journal open until
// Close.
type Driver struct {
	objects  string // the directory of objects, with a slash at its end
	temp     string // the directory of this Driver's temporary files, with a slash at its end
	tempLock *os.File
	fsync    func(*os.File) error // nil if nothing is synced

	locks   [shards]fileLock // of directories, see change
	pruning fileLock         // of removing directories, see prune; taken before one of locks
	pruned  string           // the path of the file of pruning, whose time is the epoch

	closed    atomic.Bool
	clock     atomic.Int64  // the last time given to a file or directory
	tempNames atomic.Uint64 // the last name given to a temporary file
	buffers   *copybuf.Pool

	lists   listCache
	known   ledger
	flights flights

	usage   usage
	journal *journal // nil if the Driver has none
}

var (
	_ driver.Driver = (*Driver)(nil)
	_ driver.Local  = (*Driver)(nil)
	_ io.Closer     = (*Driver)(nil)
)

// New returns a Driver on the directory dir, which it creates if necessary. opts may be nil. New
// checks the file system and removes the files that killed processes left in tmp/. It starts no
// goroutine. Call Close when the Driver is no longer used.
//
// Errors: errors.ErrUnsupported if the file system does not meet the requirements of the package.
// New skips that check if the file system is full.
func New(dir string, opts *Options) (*Driver, error) {
	if opts == nil {
		opts = &Options{}
	}
	d, err := open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("disk: %s: %w", dir, err)
	}
	return d, nil
}

func open(dir string, opts *Options) (*Driver, error) {
	if dir == "" {
		return nil, errors.New("no directory given")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d := &Driver{
		objects: filepath.Join(dir, "objects") + "/", known: newLedger(),
		buffers: copybuf.New(bufferSize, smallBufferSize, maxBuffers),
	}
	d.lists.limit = int64(opts.ListCache)
	if opts.ListCache == 0 {
		d.lists.limit = DefaultListCache
	}
	if !opts.NoSync {
		d.fsync = (*os.File).Sync
	}
	temp, locks := filepath.Join(dir, "tmp"), filepath.Join(dir, "locks")
	for _, sub := range []string{d.objects, temp, locks} {
		if err := d.makeRoot(filepath.Clean(sub)); err != nil {
			return nil, err
		}
	}
	if err := checkVersions(dir); err != nil {
		return nil, err
	}
	if err := d.makeLocks(locks); err != nil {
		return nil, err
	}
	if err := sweepTemp(temp); err != nil {
		d.closeLocks()
		return nil, err
	}
	if err := d.openTemp(temp); err != nil {
		d.closeLocks()
		return nil, err
	}
	if err := d.probe(d.createTemp); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err := d.openJournal(dir, locks, opts.NoJournal || opts.NoSync); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// makeRoot creates a directory and its parents, and makes them durable.
func (d *Driver) makeRoot(path string) error {
	if fi, err := os.Stat(path); err == nil {
		if !fi.IsDir() {
			return &os.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
		}
		return nil
	}
	up := filepath.Dir(path)
	if up != path {
		if err := d.makeRoot(up); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, dirMode); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return d.syncDirectory(up)
}

// syncDirectory syncs the directory at path.
func (d *Driver) syncDirectory(path string) error {
	if d.fsync == nil {
		return nil
	}
	f, err := openFile(path, syscall.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = d.fsync(f)
	return errors.Join(err, f.Close())
}

// probe checks with a new file what the driver relies on. A full file system has no room for that
// file; probe then succeeds, so that objects can be read and removed.
func (d *Driver) probe(create func() (*os.File, error)) error {
	f, err := create()
	if isFull(err) {
		return nil
	}
	if err != nil {
		return err
	}
	name := f.Name()
	defer func() { _ = os.Remove(name) }()
	second, err := os.Open(name)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer func() { _ = errors.Join(f.Close(), second.Close()) }()

	odd := time.Now().Unix()*int64(time.Second) + 123456789
	var st syscall.Stat_t
	if err := errors.Join(setTimes(name, odd, odd), lstat(name, &st)); err != nil {
		return err
	}
	if mtime(&st) != odd {
		return fmt.Errorf("the file system does not keep nanoseconds of modification times: %w", errors.ErrUnsupported)
	}
	renamed := name + "-renamed"
	if err := os.Rename(name, renamed); err != nil {
		return err
	}
	name = renamed
	var after syscall.Stat_t
	if err := lstat(name, &after); err != nil {
		return err
	}
	if stampOf(&st) != stampOf(&after) {
		return fmt.Errorf("the file system does not keep the inode and the time of a file that is renamed: %w",
			errors.ErrUnsupported)
	}
	if err := flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("the file system has no flock: %w (%w)", err, errors.ErrUnsupported)
	}
	if flock(int(second.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		return fmt.Errorf("flock does not exclude on this file system: %w", errors.ErrUnsupported)
	}
	return nil
}

// setTimes sets the access and modification times of a file, in nanoseconds.
func setTimes(path string, atime, mtime int64) error {
	times := [2]syscall.Timespec{syscall.NsecToTimespec(atime), syscall.NsecToTimespec(mtime)}
	for {
		err := syscall.UtimesNano(path, times[:])
		if err == nil {
			return nil
		}
		if err != syscall.EINTR {
			return &os.PathError{Op: "utimes", Path: path, Err: err}
		}
	}
}
