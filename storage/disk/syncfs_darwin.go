package disk

import "os"

// fdatasync makes the content of a file durable.
func fdatasync(f *os.File) error { return f.Sync() }

func (j *journal) syncEverything() error { return j.syncEach() }
