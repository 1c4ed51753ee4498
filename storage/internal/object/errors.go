package object

import (
	"errors"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
)

// wire returns an error of the driver as one of the registry. What has no kind there stays as it
// is.
func RegistryError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, driver.ErrNoSpace):
		return registry.ErrNoSpace.WithCause(err)
	case errors.Is(err, driver.ErrUnavailable):
		return registry.ErrUnavailable.WithCause(err)
	}
	return err
}
