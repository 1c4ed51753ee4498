package reload

import (
	"os"
	"syscall"
	"time"
)

// changeTime returns the time of the last change of content or attributes of a file. No program can
// set it.
func changeTime(info os.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}
