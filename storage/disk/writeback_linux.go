package disk

import "golang.org/x/sys/unix"

// startWriteback makes the kernel begin to write n bytes of a file to the disk. It makes nothing
// durable, and an error shows up in the sync of the file.
func startWriteback(fd int, offset, n int64) {
	_ = unix.SyncFileRange(fd, offset, n, unix.SYNC_FILE_RANGE_WRITE)
}
