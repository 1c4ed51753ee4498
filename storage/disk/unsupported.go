//go:build !linux && !darwin

package disk

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/registrykit/registry/storage/driver"
)

// Driver exists on Linux and macOS only. Elsewhere the package compiles, and New says that it does
// not work.
type Driver struct{ driver.Driver }

// Close does nothing.
func (*Driver) Close() error { return nil }

// New returns an error that wraps errors.ErrUnsupported.
func New(dir string, _ *Options) (*Driver, error) {
	return nil, fmt.Errorf("disk: %s: not on %s: %w", dir, runtime.GOOS, errors.ErrUnsupported)
}
