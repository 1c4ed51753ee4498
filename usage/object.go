package usage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/driver"
)

// read returns the content of the object at key after its header, and its version. An object that is
// absent has the version "". Such an object, and a damaged one, has a nil content.
//
// Errors: any error of the driver.
func (m *Meter) read(ctx context.Context, key string, h headed, c *call) (content []byte, version string, err error) {
	if err := c.request(ctx); err != nil {
		return nil, "", err
	}
	body, info, err := m.driver.Open(ctx, key, nil)
	if errors.Is(err, driver.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", wrap("reading", err)
	}
	b, err := io.ReadAll(io.LimitReader(body, maxRead)) // a foreign object must not fill the memory
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, "", wrap("reading", err)
	}
	return decode(b, h), info.Version, nil
}

// write stores an object on the version that was read, or, if version is "", where there is none.
//
// Errors: driver.ErrExist or driver.ErrChanged; any error of the driver.
func (m *Meter) write(ctx context.Context, key, version string, h headed, content []byte, c *call) error {
	b, err := encode(h, content)
	if err != nil {
		return err
	}
	if err := c.request(ctx); err != nil {
		return err
	}
	_, err = m.driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: version == "", IfVersion: version, Durability: driver.Deferred, Size: int64(len(b)),
	})
	return err
}

// wrap adds to an error of the driver what failed, and makes it one of the registry.
func wrap(doing string, err error) error {
	switch {
	case errors.Is(err, driver.ErrNoSpace):
		err = registry.ErrNoSpace.WithCause(err)
	case errors.Is(err, driver.ErrUnavailable):
		err = registry.ErrUnavailable.WithCause(err)
	}
	return fmt.Errorf("usage: %s: %w", doing, err)
}
