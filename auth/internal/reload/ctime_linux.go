package reload

import (
	"os"
	"syscall"
	"time"
)

// changeTime returns when content or attributes of a file were changed last. No program can set it.
func changeTime(info os.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}
