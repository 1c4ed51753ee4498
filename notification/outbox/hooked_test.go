package outbox_test

import (
	"context"
	"io"
	"iter"

	"github.com/registrykit/registry/storage/driver"
)

// hooked is a driver that calls functions of a test.
type hooked struct {
	driver.Driver
	beforeList   func(prefix string)
	afterOpen    func(key string, err error)
	beforePut    func(key string) error
	beforeDelete func(key string)
}

func (h *hooked) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	if h.beforeList != nil {
		h.beforeList(prefix)
	}
	return h.Driver.List(ctx, prefix, opts)
}

func (h *hooked) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	r, info, err := h.Driver.Open(ctx, key, opts)
	if h.afterOpen != nil {
		h.afterOpen(key, err)
	}
	return r, info, err
}

func (h *hooked) Put(ctx context.Context, key string, r io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if h.beforePut != nil {
		if err := h.beforePut(key); err != nil {
			return driver.Info{}, err
		}
	}
	return h.Driver.Put(ctx, key, r, opts)
}

func (h *hooked) Delete(ctx context.Context, key, version string) error {
	if h.beforeDelete != nil {
		h.beforeDelete(key)
	}
	return h.Driver.Delete(ctx, key, version)
}
