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
	err := d.change(parent(path), func() (edit, error) {
		var st syscall.Stat_t
		if err := d.object(path, &st); err != nil {
			return edit{}, err
		}
		if ifVersion != "" && ifVersion != version(&st) {
			return edit{}, driver.ErrChanged
		}
		return edit{remove: base(path)}, os.Remove(d.objects + path)
	})
	if errors.Is(err, errNoDirectory) || errors.Is(err, syscall.ENOTDIR) {
		err = driver.ErrNotExist
	}
	if err != nil {
		return failure("delete", key, err)
	}
	d.prune(parent(path))
	return nil
}
