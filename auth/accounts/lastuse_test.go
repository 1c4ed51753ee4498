package accounts_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// run calls Run until the returned function is called.
func (d *desk) run() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.people.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

// TestLastUsed: uses in two processes are known in both, and a request does not wait for a write.
func TestLastUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := drivertest.NewFaulty(memory.New(nil), nil)
		d, elsewhere := newDesk(t, storage, nil), newDesk(t, storage, nil)
		stop, stopElsewhere := d.run(), elsewhere.run()
		ann := d.user("ann", "")
		s, unused := d.secret(ann.ID, nil), d.secret(ann.ID, nil)
		used := func(d *desk) time.Time {
			for _, x := range d.secrets(ann.ID) {
				if x.ID == s.ID {
					return x.LastUsed
				}
				require.Equal(t, unused.ID, x.ID)
				require.Zero(t, x.LastUsed)
			}
			return time.Time{}
		}
		require.Zero(t, used(d))
		writes := storage.Writes()
		who := d.in(bearer(s.Value.Value()))
		first := time.Now().UTC()
		require.Equal(t, writes, storage.Writes())
		require.Equal(t, first, used(d), "known at once here")
		require.Zero(t, used(elsewhere))
		time.Sleep(accounts.FlushEvery + time.Second)
		require.Equal(t, first, used(elsewhere))
		require.Equal(t, writes+1, storage.Writes())
		time.Sleep(time.Hour)
		require.Equal(t, writes+1, storage.Writes(), "nothing was used")

		elsewhere.in(bearer(s.Value.Value()))
		time.Sleep(time.Second)
		_, err := d.logins.Renew(t.Context(), who)
		require.NoError(t, err)
		last := time.Now().UTC()
		require.ErrorIs(t, stop(), context.Canceled)
		require.ErrorIs(t, stopElsewhere(), context.Canceled)
		require.Equal(t, last, used(newDesk(t, storage, nil)), "written at the end")
	})
}

// TestLastUsedWriteFails: what could not be written is written the next time.
func TestLastUsedWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := drivertest.NewFaulty(memory.New(nil), nil)
		d := newDesk(t, storage, nil)
		ann := d.user("ann", "")
		s := d.secret(ann.ID, nil)
		d.in(bearer(s.Value.Value()))
		at := time.Now().UTC()
		stop := d.run()
		storage.FailWrite(1)
		time.Sleep(accounts.FlushEvery + time.Second)
		require.Zero(t, newDesk(t, storage, nil).secrets(ann.ID)[0].LastUsed)
		time.Sleep(accounts.FlushEvery)
		require.Equal(t, at, newDesk(t, storage, nil).secrets(ann.ID)[0].LastUsed)
		d.in(bearer(s.Value.Value()))
		storage.FailWrite(1)
		require.ErrorIs(t, stop(), drivertest.ErrInjected)
	})
}

// TestLastUsesBounded: the record of an account does not grow with the secrets that were revoked.
func TestLastUsesBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := memory.New(nil)
		d := newDesk(t, storage, nil)
		stop := d.run()
		ann := d.user("ann", "")
		var last accounts.NewSecret
		for range 3 * accounts.MaxUsesStored {
			last = d.secret(ann.ID, nil)
			d.in(bearer(last.Value.Value()))
			time.Sleep(time.Minute)
			if len(d.secrets(ann.ID)) > 1 {
				require.NoError(t, d.people.RevokeSecret(t.Context(), admin, ann.ID, d.secrets(ann.ID)[0].ID))
			}
		}
		require.ErrorIs(t, stop(), context.Canceled)
		info, err := storage.Stat(t.Context(), "w/l/"+string(ann.ID))
		require.NoError(t, err)
		require.Less(t, info.Size, int64(16<<10))
		require.NotZero(t, newDesk(t, storage, nil).secrets(ann.ID)[0].LastUsed)
	})
}
