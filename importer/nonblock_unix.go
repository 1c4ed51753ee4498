//go:build unix

package importer

import "syscall"

// nonblock is the flag with which open(2) does not wait for the other end of a FIFO.
const nonblock = syscall.O_NONBLOCK
