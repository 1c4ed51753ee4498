package gocloud

import (
	"github.com/registrykit/registry/storage/driver"
)

var _ driver.SingleProcess = (*Driver)(nil)

// SingleProcess implements [driver.SingleProcess]. What is in memory no other process can reach.
func (d *Driver) SingleProcess() string {
	if l, ok := d.engine.(*local); ok && l.files != nil {
		return "on files, the conditions of gocloud.dev are kept by locks within one process; storage/disk keeps them between processes"
	}
	return ""
}
