package main

import (
	"os"
	"syscall"
)

// fdatasync makes the content of f durable, and its size.
func fdatasync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
