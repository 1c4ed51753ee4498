package gocloud

import (
	"context"
	"errors"
	"fmt"

	"gocloud.dev/blob"

	"github.com/registrykit/registry/storage/driver"
)

// MaxCopySize is the maximum size of an object that [Driver.Adopt] copies, in bytes. It is the limit of
// one copy on Amazon S3.
const MaxCopySize = 5 << 30

// Object is a source of [Driver.Adopt]: an object in the bucket of the Driver.
type Object struct {
	// Bucket is the value that was given to [New].
	Bucket *blob.Bucket
	// Name is the name of the object in the bucket.
	Name string
	// Size is the size of the object, in bytes.
	Size int64
}

var _ driver.Adopter = (*Driver)(nil)

// Adopt implements [driver.Adopter]. The source is an [Object] of the same bucket, which the store copies
// by itself. It returns errors.ErrUnsupported on a local bucket, and for an object larger than
// MaxCopySize.
func (d *Driver) Adopt(ctx context.Context, key string, source any, opts *driver.AdoptOptions) (driver.Info,
	driver.Adoption, error) {
	if err := check(ctx, key); err != nil {
		return driver.Info{}, "", d.failure("adopt", key, err)
	}
	m, isRemote := d.engine.(*remote)
	o, isObject := source.(Object)
	if !isRemote || !isObject || o.Bucket != d.bucket || o.Size > MaxCopySize {
		err := fmt.Errorf("the source cannot be copied within the bucket: %w", errors.ErrUnsupported)
		return driver.Info{}, "", d.failure("adopt", key, err)
	}
	if opts != nil && opts.DryRun {
		return driver.Info{Key: key, Size: o.Size}, driver.Copied, nil
	}
	info, err := m.adopt(ctx, key, o.Name)
	return info, driver.Copied, d.failure("adopt", key, err)
}

// adopt copies an object of the bucket. The key is new, so the copy replaces nothing.
func (m *remote) adopt(ctx context.Context, key, name string) (driver.Info, error) {
	switch _, err := m.stat(ctx, key); {
	case err == nil:
		return driver.Info{}, driver.ErrExist
	case !errors.Is(m.failure(err), driver.ErrNotExist):
		return driver.Info{}, err
	}
	// The store may take minutes for gigabytes, and sends nothing meanwhile.
	if err := m.bucket.Copy(ctx, m.name(key), name, nil); err != nil {
		return driver.Info{}, m.failure(err)
	}
	return m.stat(ctx, key)
}
