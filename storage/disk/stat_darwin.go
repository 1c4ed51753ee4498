package disk

import "syscall"

// mtime returns the modification time in nanoseconds.
func mtime(st *syscall.Stat_t) int64 { return st.Mtimespec.Nano() }

// atime returns the access time in nanoseconds.
func atime(st *syscall.Stat_t) int64 { return st.Atimespec.Nano() }

// ctime returns the time of the last change of the attributes or names, in nanoseconds.
func ctime(st *syscall.Stat_t) int64 { return st.Ctimespec.Nano() }
