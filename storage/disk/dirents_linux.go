package disk

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"sync"
	"syscall"
)

// direntBuffers hold what one getdents64(2) returns. A large one takes the fewest system calls.
var direntBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// Layout of struct linux_dirent64: inode, offset, length of the record, type, name ended by a zero
// byte.
const (
	direntLength = 16
	direntType   = 18
	direntName   = 19
)

// readEntries calls add for each regular file and directory in the open directory f. It takes one
// allocation for the names that one system call returns, where os.File.ReadDir takes two or three
// for each name, which is most of the time that a large directory takes.
func readEntries(f *os.File, add func(name string, isDir bool)) error {
	buf := direntBuffers.Get().(*[128 << 10]byte)
	defer direntBuffers.Put(buf)
	fd := int(f.Fd())
	for {
		n, err := syscall.ReadDirent(fd, buf[:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("getdents64", err)
		}
		if n == 0 {
			return nil
		}
		if err := parseEntries(f, buf[:n], add); err != nil {
			return err
		}
	}
}

// parseEntries calls add for what one system call has returned.
func parseEntries(f *os.File, b []byte, add func(name string, isDir bool)) error {
	var names strings.Builder
	names.Grow(len(b)) // never grows again, so that the names keep their place
	for len(b) > direntName {
		length := int(binary.NativeEndian.Uint16(b[direntLength:]))
		if length <= direntName || length > len(b) {
			return os.NewSyscallError("getdents64", syscall.EIO)
		}
		kind, name := b[direntType], b[direntName:length]
		b = b[length:]
		if i := bytes.IndexByte(name, 0); i >= 0 {
			name = name[:i]
		}
		if string(name) == "." || string(name) == ".." {
			continue
		}
		at := names.Len()
		names.Write(name)
		s := names.String()[at:]
		switch kind {
		case syscall.DT_REG:
			add(s, false)
		case syscall.DT_DIR:
			add(s, true)
		case syscall.DT_UNKNOWN: // a file system that does not tell
			var st syscall.Stat_t
			if lstat(f.Name()+"/"+s, &st) == nil && (isFile(&st) || isDir(&st)) {
				add(s, isDir(&st))
			}
		}
	}
	return nil
}
