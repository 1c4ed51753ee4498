// Package kits runs the test kits of drivers and of backends on real storage servers.
package kits

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/gocloud"
)

// Place is a storage server, with the functions that make a driver on it.
type Place struct {
	// Open opens the bucket for the objects under a prefix, as another process would. A server may
	// have a bucket for each prefix, or one for all.
	Open func(t *testing.T, prefix string) *blob.Bucket
	// Provider returns the provider of the store.
	Provider func() gocloud.Provider
	// Options describe how the store differs.
	Options drivertest.Options

	prefixes int
}

// prefix returns a prefix that is not in use.
func (p *Place) prefix() string {
	p.prefixes++
	return fmt.Sprintf("kit-%03d/", p.prefixes)
}

func (p *Place) driver(t *testing.T, prefix string) driver.Driver {
	t.Helper()
	d, err := gocloud.New(t.Context(), p.Open(t, prefix), &gocloud.Options{
		Prefix: prefix, Providers: []gocloud.Provider{p.Provider()},
		Parts: gocloud.Parts{Size: 5 << 20, Max: 3}, // so that a blob of the kit takes two objects
	})
	require.NoError(t, err)
	return d
}

// Run runs both test kits.
func (p *Place) Run(t *testing.T) {
	prefixes := map[driver.Driver]string{}
	newDriver := func(t *testing.T) driver.Driver {
		prefix := p.prefix()
		d := p.driver(t, prefix)
		prefixes[d] = prefix
		return d
	}
	t.Run("driver", func(t *testing.T) {
		o := p.Options
		o.Reopen = func(t *testing.T, d driver.Driver) driver.Driver { return p.driver(t, prefixes[d]) }
		o.LargeSize = 20 << 20
		o.Goroutines = 32
		drivertest.TestDriver(t, newDriver, &o)
	})
	t.Run("backend", func(t *testing.T) {
		drivers := map[registry.Backend]driver.Driver{}
		newBackend := func(t *testing.T, d driver.Driver) registry.Backend {
			s, err := storage.New(t.Context(), d, nil)
			require.NoError(t, err)
			drivers[s] = d
			return s
		}
		registrytest.TestBackend(t, func(t *testing.T) registry.Backend { return newBackend(t, newDriver(t)) },
			&registrytest.Options{
				Reopen: func(t *testing.T, b registry.Backend) registry.Backend {
					return newBackend(t, p.driver(t, prefixes[drivers[b]]))
				},
				LargeSize: 20 << 20,
				Appends:   200,
			})
	})
}
