package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ReadFile reads a regular file, or a link to one, of at most max bytes. Errors contain the path
// once.
func ReadFile(path string, max int) ([]byte, error) {
	info, err := os.Stat(path) // before the file is opened: opening a pipe would wait for a writer
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, int64(max)+1))
	if err == nil && len(content) > max {
		err = fmt.Errorf("more than %d bytes", max)
	}
	var named *os.PathError
	if err != nil && !errors.As(err, &named) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	return content, nil
}
