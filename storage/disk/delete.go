//go:build linux || darwin

package disk

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/registrykit/registry/storage/driver"
)

// Delete implements [driver.Driver]. It removes directories that become empty, except for the two
// uppermost levels.
func (d *Driver) Delete(ctx context.Context, key, ifVersion string) error {
	if err := d.check(ctx, "delete", key); err != nil {
		return err
	}
	path := keyPath(key)
	err := d.change(parent(path), d.now(), func(seq int64) (edit, error) {
		var st syscall.Stat_t
		if err := d.object(path, &st); err != nil {
			return edit{}, err
		}
		if ifVersion != "" && ifVersion != version(&st) {
			return edit{}, driver.ErrChanged
		}
		seq = max(seq, mtime(&st)+1)
		return edit{remove: base(path), seq: seq}, d.remove(path, seq)
	})
	if errors.Is(err, errNoDirectory) || errors.Is(err, syscall.ENOTDIR) {
		err = driver.ErrNotExist
	}
	if err != nil {
		return failure("delete", key, err)
	}
	d.prune(parent(path))
	if d.journal != nil {
		d.journal.tidy()
	}
	return nil
}

// remove removes the file at path, in the change with the number seq.
func (d *Driver) remove(path string, seq int64) error {
	unlink := func() error {
		// Not os.Remove, which would remove a directory, too.
		return os.NewSyscallError("unlink", syscall.Unlink(d.objects+path))
	}
	if d.journal == nil {
		return unlink()
	}
	return d.journal.change(record{kind: absentRecord, path: path, seq: seq}, unlink)
}
