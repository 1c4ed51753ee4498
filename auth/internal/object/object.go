// Package object reads small objects of the storage, for packages that keep users and tokens in it.
package object

import (
	"context"
	"errors"
	"io"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/storage/driver"
)

// MaxSize is the maximum size of an object, in bytes. Every Driver stores objects of this size.
const MaxSize = driver.MinObjectSize

// Read returns the content of an object unless it has the version ifNot. The content is cut off
// after one byte more than MaxSize, so that a damaged object takes no more memory.
//
// Errors: driver.ErrNotExist, driver.ErrNotModified; other errors of the Driver.
func Read(ctx context.Context, d driver.Driver, key, ifNot string) ([]byte, driver.Info, error) {
	body, info, err := d.Open(ctx, key, &driver.OpenOptions{IfNotVersion: ifNot})
	if err != nil {
		return nil, driver.Info{}, err
	}
	content, err := io.ReadAll(io.LimitReader(body, MaxSize+1))
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	return content, info, err
}

// Unavailable wraps driver.ErrUnavailable in an *auth.UnavailableError, so that clients get 503 and
// try again. It returns other errors unchanged.
func Unavailable(err error) error {
	if errors.Is(err, driver.ErrUnavailable) {
		return &auth.UnavailableError{Err: err}
	}
	return err
}
