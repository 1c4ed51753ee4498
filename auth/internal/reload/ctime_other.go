//go:build !linux && !darwin

package reload

import (
	"os"
	"time"
)

// changeTime returns the modification time, because this system has no time that programs cannot
// set.
func changeTime(info os.FileInfo) time.Time { return info.ModTime() }
