//go:build linux || darwin

package disk

import (
	"errors"
	"io/fs"
	"os"

	"github.com/registrykit/registry/storage/driver"
)

// errClosed is why a method of a Driver fails that has been closed. It is an error that may pass:
// another process may go on.
var errClosed = &classified{driver.ErrUnavailable, fs.ErrClosed}

// Close removes what the Driver has in tmp/ and closes the one file that it holds open. Readers
// that Open has returned can be read on. A blob that consists of several objects cannot: shut the
// http.Server down first. What was acknowledged is safe, but a call that is still running may fail;
// later calls fail with an error that wraps [fs.ErrClosed] and [driver.ErrUnavailable]. A second
// Close does nothing.
//
// A program that ends, or is killed, need not call it: the next New on the directory removes what
// was left in tmp/.
func (d *Driver) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	// In this order, so that nobody takes the directory for left over while it is removed.
	return errors.Join(os.RemoveAll(d.temp), d.tempLock.Close())
}
