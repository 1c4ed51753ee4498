//go:build !unix

package layout_test

import "os"

// mkfifo makes a directory, because this system has no named pipes in directories. Neither is a regular file.
func mkfifo(path string) error { return os.Mkdir(path, 0o700) }
