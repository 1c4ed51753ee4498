package gc

import (
	"context"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
	"github.com/registrykit/registry/storage/memory"
)

// awaitingDriver puts an Awaited record in place of a manifest that is just being removed, as another
// collection may do.
type awaitingDriver struct {
	driver.Driver
	key string
}

func (d awaitingDriver) Delete(ctx context.Context, key, ifVersion string) error {
	if key == d.key {
		m := &object.Manifest{State: object.Awaited, Nonce: object.NewNonce(), Sum: object.Checksum(nil)}
		if _, err := object.New(d.Driver, 0, 0).Put(ctx, key, ifVersion, m, nil, driver.Durable); err != nil {
			return err
		}
	}
	return d.Driver.Delete(ctx, key, ifVersion)
}

// TestCheckRootReplacedByAwaited checks that a dead manifest which becomes an Awaited record while the
// collection removes it does not end the collection.
func TestCheckRootReplacedByAwaited(t *testing.T) {
	d := digest.FromString("{}")
	key := object.New(nil, 0, 0).Repo("a").ManifestKey(d)
	objects := object.New(awaitingDriver{Driver: memory.New(nil), key: key}, 0, 0)
	m := &object.Manifest{State: object.Pending, Nonce: object.NewNonce(), Sum: object.Checksum([]byte("{}")), Size: 2}
	_, err := objects.Put(t.Context(), key, "", m, []byte("{}"), driver.Durable)
	require.NoError(t, err)

	c := New(objects, Options{Grace: -1, Parallel: 1, Memory: 1 << 20})
	require.NoError(t, c.Run(t.Context()))
	now, err := objects.Repo("a").ReadManifest(t.Context(), d)
	require.NoError(t, err)
	require.Equal(t, object.Awaited, now.State)
	require.Zero(t, c.Finish().Removed.Pending)
}
