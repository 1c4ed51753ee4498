package disk

import (
	"errors"
	"os"
	"runtime"
	"syscall"
)

// ficlone is FICLONE of <linux/fs.h>: _IOW(0x94, 9, int).
const ficlone = 0x40049409

// cloneFile makes dst share the blocks of src.
//
// Errors: errors.ErrUnsupported if the file system cannot do that.
func cloneFile(dst, src *os.File) error {
	for {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dst.Fd(), ficlone, src.Fd())
		runtime.KeepAlive(dst)
		runtime.KeepAlive(src)
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
			continue
		case syscall.EXDEV, syscall.EOPNOTSUPP, syscall.ENOTTY, syscall.EINVAL, syscall.ENOSYS, syscall.EPERM:
			return &classified{errors.ErrUnsupported, os.NewSyscallError("clone", errno)}
		}
		return os.NewSyscallError("clone", errno)
	}
}
