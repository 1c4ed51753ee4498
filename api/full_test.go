package api_test

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
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

// TestFullStorage: a change that the storage has no room for is 507, as for a push, and reads go on.
func TestFullStorage(t *testing.T) {
	d := &fillable{Driver: memory.New(nil)}
	s := newSiteOver(t, d, func(s *site, opts *api.Options) { opts.Accounts = s.people })
	d.full.Store(true)
	s.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "zoo"}).fails(507, "NO_SPACE")
	s.do(t, "boss", "GET", "/v1/users", nil).want(200)
	d.full.Store(false)
	s.do(t, "ann", "POST", "/v1/organisations", types.NewOrganisation{Name: "zoo"}).want(201)
}
