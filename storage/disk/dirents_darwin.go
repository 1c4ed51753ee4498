package disk

import (
	"io"
	"os"
)

// readEntries calls add for each regular file and directory in the open directory f.
func readEntries(f *os.File, add func(name string, isDir bool)) error {
	for {
		list, err := f.ReadDir(1024)
		for _, e := range list {
			if t := e.Type(); t.IsRegular() || t.IsDir() {
				add(e.Name(), t.IsDir())
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
