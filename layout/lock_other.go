//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package layout

import "os"

const openFlags = 0

// lock does nothing: on this system, only one program at a time may write to a directory.
func lock(*os.File) error { return nil }

// tryLock reports false, so that the temporary files of other programs stay.
func tryLock(*os.File) bool { return false }

func isFull(error) bool { return false }
