package object

import (
	"errors"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
)

// RegistryError returns an error of the driver as one of the registry: driver.ErrNoSpace becomes
// registry.ErrNoSpace, and driver.ErrUnavailable becomes registry.ErrUnavailable, with err as the
// cause. Other errors, and nil, are returned unchanged.
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
