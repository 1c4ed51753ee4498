//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package layout

import (
	"errors"
	"os"
	"syscall"
)

// openFlags keep the opening of a file from waiting for the other end of a pipe.
const openFlags = syscall.O_NONBLOCK

// lock waits for the lock of an open directory. The lock ends when the file is closed.
func lock(f *os.File) error { return flock(f, syscall.LOCK_EX) }

// tryLock reports whether the lock of an open directory is free, and takes it.
func tryLock(f *os.File) bool { return flock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil }

func flock(f *os.File, how int) error {
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if err != syscall.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}

// isFull reports whether an error means that there is no space.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
