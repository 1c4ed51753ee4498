// Package cloud runs the kits on real storage servers.
package cloud

import (
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/storagetest"
)

// place is a bucket of a storage server, and how a driver is made on it.
type place struct {
	open     func(t *testing.T) *blob.Bucket
	provider func() gocloud.Provider
	// options say how the store differs.
	options storagetest.Options

	prefixes int
}

// prefix is one that nobody has used.
func (p *place) prefix() string {
	p.prefixes++
	return "kit-" + string(rune('a'+p.prefixes/26/26%26)) + string(rune('a'+p.prefixes/26%26)) + string(rune('a'+p.prefixes%26)) + "/"
}

func (p *place) driver(t *testing.T, prefix string) storage.Driver {
	t.Helper()
	d, err := gocloud.New(t.Context(), p.open(t), &gocloud.Options{Prefix: prefix, Providers: []gocloud.Provider{p.provider()}})
	require.NoError(t, err)
	return d
}

// kits runs both test kits.
func (p *place) kits(t *testing.T) {
	prefixes := map[storage.Driver]string{}
	newDriver := func(t *testing.T) storage.Driver {
		prefix := p.prefix()
		d := p.driver(t, prefix)
		prefixes[d] = prefix
		return d
	}
	t.Run("driver", func(t *testing.T) {
		o := p.options
		o.Reopen = func(t *testing.T, d storage.Driver) storage.Driver { return p.driver(t, prefixes[d]) }
		o.LargeSize = 20 << 20
		o.Goroutines = 32
		storagetest.TestDriver(t, newDriver, &o)
	})
	t.Run("backend", func(t *testing.T) {
		drivers := map[registry.Backend]storage.Driver{}
		newBackend := func(t *testing.T, d storage.Driver) registry.Backend {
			s, err := storage.New(t.Context(), d, nil)
			require.NoError(t, err)
			drivers[s] = d
			return s
		}
		registrytest.TestBackend(t, func(t *testing.T) registry.Backend { return newBackend(t, newDriver(t)) }, &registrytest.Options{
			Reopen: func(t *testing.T, b registry.Backend) registry.Backend {
				return newBackend(t, p.driver(t, prefixes[drivers[b]]))
			},
			LargeSize: 20 << 20,
			Appends:   200,
		})
	})
}
