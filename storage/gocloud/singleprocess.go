package gocloud

import (
	"github.com/registrykit/registry/storage/driver"
)

var _ driver.SingleProcess = (*Driver)(nil)

// SingleProcess implements [driver.SingleProcess]. It returns a reason on fileblob. No other process
// can reach memblob, and a store on the network keeps conditions itself.
func (d *Driver) SingleProcess() (reason string) {
	if l, ok := d.engine.(*local); ok && l.files != nil {
		return "storage/gocloud keeps conditions on files by locks within one process; " +
			"storage/disk keeps them between processes"
	}
	return ""
}
