//go:build !linux && !darwin

package reload

import (
	"os"
	"time"
)

// changeTime returns the modification time, for want of a time that no program can set.
func changeTime(info os.FileInfo) time.Time { return info.ModTime() }
