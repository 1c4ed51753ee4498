package disk

import "syscall"

// mtime returns the modification time in nanoseconds.
func mtime(st *syscall.Stat_t) int64 { return st.Mtim.Nano() }

// atime returns the access time in nanoseconds.
func atime(st *syscall.Stat_t) int64 { return st.Atim.Nano() }

// ctime returns the time of the last change of the attributes or names, in nanoseconds.
func ctime(st *syscall.Stat_t) int64 { return st.Ctim.Nano() }
