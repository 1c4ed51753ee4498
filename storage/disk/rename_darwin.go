package disk

import "golang.org/x/sys/unix"

// renameNew is rename(2), but fails with EEXIST if there is anything at the path to. Then nothing
// is replaced.
func renameNew(from, to string) error { return unix.RenamexNp(from, to, unix.RENAME_EXCL) }
