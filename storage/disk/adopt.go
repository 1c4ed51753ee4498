//go:build linux || darwin

package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/registrykit/registry/storage/driver"
)

var _ driver.Adopter = (*Driver)(nil)

// Adopt implements [driver.Adopter]. The source is an [*os.File] that is open for reading, with the path
// by which it can be found. Adopt gives the file a further name, or clones it where the file system can
// (btrfs, xfs; on Linux only). It returns errors.ErrUnsupported if neither is possible: the file is on
// another file system, or the system does not let this user link it.
//
// A linked file keeps its owner, its mode and its modification time. The file must not be written to in
// place. Removing it by its old name leaves the object whole, and removing the object leaves the old name.
func (d *Driver) Adopt(ctx context.Context, key string, source any, opts *driver.AdoptOptions) (driver.Info,
	driver.Adoption, error) {
	if opts == nil {
		opts = &driver.AdoptOptions{}
	}
	if err := d.check(ctx, "adopt", key); err != nil {
		return driver.Info{}, "", err
	}
	f, ok := source.(*os.File)
	if !ok {
		return driver.Info{}, "", failure("adopt", key, fmt.Errorf("source of type %T: %w", source, errors.ErrUnsupported))
	}
	a := &adoption{
		writing: writing{d: d, path: keyPath(key), opts: &driver.PutOptions{IfAbsent: true, Durability: driver.Deferred}},
		source:  f,
	}
	how, err := a.run(opts)
	if err != nil {
		return driver.Info{}, "", failure("adopt", key, err)
	}
	return info(key, &a.st), how, nil
}

// adoption is the state of one Adopt.
type adoption struct {
	writing
	source *os.File
}

func (a *adoption) run(opts *driver.AdoptOptions) (driver.Adoption, error) {
	var st syscall.Stat_t
	if err := fstat(int(a.source.Fd()), &st); err != nil {
		return "", err
	}
	if !isFile(&st) {
		return "", fmt.Errorf("the source is not a regular file: %w", errors.ErrUnsupported)
	}
	a.temp.path = a.d.newTempPath()
	how, err := a.take(&st, opts)
	if err != nil {
		return "", err
	}
	published := false
	defer func() {
		if how == driver.Cloned {
			_ = a.temp.close()
		}
		if !published {
			_ = os.Remove(a.temp.path)
		}
	}()
	if opts.DryRun {
		return how, nil
	}
	if err := a.publish(); err != nil {
		return "", err
	}
	published = true
	// The number of names and the time of their last change are those after the rename.
	if err := lstat(a.d.objects+a.path, &a.st); err != nil {
		return "", err
	}
	return how, nil
}

// take makes the temporary file, by a link or a clone.
//
// Errors: errors.ErrUnsupported if neither is possible.
func (a *adoption) take(st *syscall.Stat_t, opts *driver.AdoptOptions) (driver.Adoption, error) {
	var linked error
	if !opts.NoLink {
		if linked = a.link(st); linked == nil {
			a.linked = true
			return driver.Linked, nil
		}
		if !errors.Is(linked, errors.ErrUnsupported) {
			return "", linked
		}
	}
	err := a.clone()
	if err == nil {
		return driver.Cloned, nil
	}
	return "", errors.Join(err, linked)
}

// link makes the temporary file a link of the source. The source is linked by its path, which may be
// another file by now, so link compares the two files.
//
// Errors: errors.ErrUnsupported if the system cannot link the file, or does not let this user.
func (a *adoption) link(st *syscall.Stat_t) error {
	err := os.Link(a.source.Name(), a.temp.path)
	for _, e := range []syscall.Errno{
		syscall.EXDEV, syscall.EPERM, syscall.EACCES, syscall.EMLINK, syscall.ENOENT, syscall.ENOTDIR, syscall.ENOSYS,
		syscall.EOPNOTSUPP,
	} {
		if errors.Is(err, e) {
			return &classified{errors.ErrUnsupported, err}
		}
	}
	if err != nil {
		return err
	}
	if err = lstat(a.temp.path, &a.st); err == nil && (a.st.Ino != st.Ino || a.st.Dev != st.Dev) {
		err = fmt.Errorf("another file has taken the place of the source: %w", errors.ErrUnsupported)
	}
	if err != nil {
		_ = os.Remove(a.temp.path)
	}
	return err
}

// clone makes the temporary file a clone of the source.
//
// Errors: errors.ErrUnsupported if the file system cannot do that.
func (a *adoption) clone() error {
	f, err := openFile(a.temp.path, syscall.O_RDWR|syscall.O_CREAT|syscall.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	a.temp.fd, a.temp.file = int(f.Fd()), f
	if err = cloneFile(f, a.source); err == nil {
		err = fstat(a.temp.fd, &a.st)
	}
	if err != nil {
		_ = errors.Join(f.Close(), os.Remove(a.temp.path))
	}
	return err
}
