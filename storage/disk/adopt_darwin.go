package disk

import (
	"errors"
	"os"
)

// cloneFile returns errors.ErrUnsupported: on macOS, files are linked or copied.
func cloneFile(_, _ *os.File) error { return errors.ErrUnsupported }
