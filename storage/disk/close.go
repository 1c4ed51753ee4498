//go:build linux || darwin

package disk

import (
	"errors"
	"io/fs"
	"os"

	"github.com/registrykit/registry/storage/driver"
)

// errClosed is returned by the methods of a closed Driver. It wraps driver.ErrUnavailable because
// another process may still serve the same storage.
var errClosed = &classified{driver.ErrUnavailable, fs.ErrClosed}

// Close removes the temporary files of the Driver and closes the files that it holds open. Readers
// that Open has returned still work, but the next object of a blob that consists of several objects
// cannot be opened: shut the http.Server down first. Acknowledged objects are safe. A call that is
// still running may fail; later calls fail with an error that wraps [fs.ErrClosed] and
// [driver.ErrUnavailable]. A second Close does nothing.
//
// A program that ends need not call Close: the next New on the directory removes the files that are
// left in tmp/.
func (d *Driver) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	err := d.closeJournal()
	d.closeLocks()
	// This lock goes last, so that no other process sweeps the directory while it is being removed.
	return errors.Join(err, os.RemoveAll(d.temp), d.tempLock.Close())
}
