package gocloud

import "github.com/registrykit/registry/storage"

var _ storage.Confined = (*Driver)(nil)

// Confined implements [storage.Confined]. What is in memory no other process can reach.
func (d *Driver) Confined() string {
	if l, ok := d.engine.(*local); ok && l.files != nil {
		return "on files, the conditions of gocloud.dev are kept by locks within one process; storage/disk keeps them between processes"
	}
	return ""
}
