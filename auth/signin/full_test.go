package signin_test

import (
	"context"
	"io"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// fillable is a storage that is full when the test says so.
type fillable struct {
	driver.Driver
	full atomic.Bool
}

func (d *fillable) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	if d.full.Load() {
		return driver.Info{}, driver.ErrNoSpace
	}
	return d.Driver.Put(ctx, key, body, opts)
}

// TestFullStorage: a session that the storage has no room for is 507, and not an error of the server.
func TestFullStorage(t *testing.T) {
	d := &fillable{Driver: memory.New(nil)}
	s := newSite(t, d, nil, nil)
	s.user(t, "bob")
	d.full.Store(true)
	b := s.browser(t)
	form := url.Values{"name": {"bob"}, "password": {password}}
	b.do("POST", "/signin/password", form).want(507)
	d.full.Store(false)
	b.do("POST", "/signin/password", form).want(200)
}
