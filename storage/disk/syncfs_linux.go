package disk

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// fdatasync makes the content of a file durable.
func fdatasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// syncEverything makes the whole file system durable. Since Linux 5.8, syncfs reports the errors of
// all writes since root was opened.
func (j *journal) syncEverything() error {
	return os.NewSyscallError("syncfs", unix.Syncfs(int(j.root.Fd())))
}
