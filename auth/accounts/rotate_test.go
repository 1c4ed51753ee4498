package accounts_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

const day = 24 * time.Hour

// TestRotate: both secrets are valid during the grace period. The new one has the name, the scopes and
// the lifetime of the old one.
func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, nil)
		ann := d.user("ann", "")
		scopes := []accounts.Grant{{Repositories: "ann/**", Role: accounts.Write}}
		old := d.secret(ann.ID, &accounts.SecretOptions{Expires: time.Now().Add(30 * day), Scopes: scopes})
		time.Sleep(20 * day)
		made, err := d.people.RotateSecret(t.Context(), admin, ann.ID, old.ID, time.Hour)
		require.NoError(t, err)
		require.Equal(t, "laptop", made.Name)
		require.Equal(t, scopes, made.Scopes)
		require.Equal(t, time.Now().Add(30*day).UTC(), made.Expires)
		require.NotEqual(t, old.Value, made.Value)
		stored, err := d.people.Secret(t.Context(), ann.ID, old.ID)
		require.NoError(t, err)
		require.Equal(t, made.ID, stored.Rotated)
		d.in(bearer(old.Value.Value()))
		d.in(bearer(made.Value.Value()))
		_, err = d.people.RotateSecret(t.Context(), admin, ann.ID, old.ID, time.Hour)
		require.ErrorIs(t, err, accounts.ErrInUse)
		time.Sleep(time.Hour)
		d.out(bearer(old.Value.Value()), "expired")
		d.in(bearer(made.Value.Value()))

		// A grace period does not prolong a secret, and zero ends it at once.
		time.Sleep(29 * day)
		last, err := d.people.RotateSecret(t.Context(), admin, ann.ID, made.ID, 100*day)
		require.NoError(t, err)
		time.Sleep(day)
		d.out(bearer(made.Value.Value()), "expired")
		forever := d.secret(ann.ID, nil)
		next, err := d.people.RotateSecret(t.Context(), admin, ann.ID, forever.ID, 0)
		require.NoError(t, err)
		require.Zero(t, next.Expires)
		d.out(bearer(forever.Value.Value()), "expired")
		d.in(bearer(last.Value.Value()))
		for _, grace := range []time.Duration{-1, 366 * day} {
			_, err = d.people.RotateSecret(t.Context(), admin, ann.ID, next.ID, grace)
			require.ErrorIs(t, err, accounts.ErrInvalid)
		}
	})
}

// TestRotateDisabled: a rotation does not enable an account.
func TestRotateDisabled(t *testing.T) {
	d := newDesk(t, nil, nil)
	ann := d.user("ann", "")
	s := d.secret(ann.ID, nil)
	_, err := d.people.Disable(t.Context(), admin, ann.ID)
	require.NoError(t, err)
	made, err := d.people.RotateSecret(t.Context(), admin, ann.ID, s.ID, time.Hour)
	require.NoError(t, err)
	d.out(bearer(s.Value.Value()), "disabled")
	d.out(bearer(made.Value.Value()), "disabled")
}

// TestLoginsDuringRotation: while a secret is rotated again and again, logins in two processes with the secrets whose
// grace has not ended never fail.
func TestLoginsDuringRotation(t *testing.T) {
	storage := memory.New(nil)
	desks := []*desk{newDesk(t, storage, nil), newDesk(t, storage, nil)}
	ann := desks[0].user("ann", "")
	first := desks[0].secret(ann.ID, nil)
	var present atomic.Value
	present.Store([]accounts.NewSecret{first})
	stop := make(chan struct{})
	var logins atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for _, s := range present.Load().([]accounts.NewSecret) {
					_, err := desks[i%2].logins.Authenticate(basic("ann", s.Value.Value()))
					if err != nil {
						t.Errorf("%s: %v", s.ID, err)
						return
					}
					logins.Add(1)
				}
			}
		})
	}
	last := first
	for i := range 60 {
		before := logins.Load()
		made, err := desks[i%2].people.RotateSecret(t.Context(), admin, ann.ID, last.ID, time.Hour)
		require.NoError(t, err)
		present.Store([]accounts.NewSecret{last, made})
		last = made
		for logins.Load() < before+20 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	wg.Wait()
}

// TestRotateAtOnce: of many callers who rotate one secret, in two processes, one succeeds.
func TestRotateAtOnce(t *testing.T) {
	storage := memory.New(nil)
	d, elsewhere := newDesk(t, storage, nil), newDesk(t, storage, nil)
	ann := d.user("ann", "")
	s := d.secret(ann.ID, nil)
	var made atomic.Pointer[accounts.NewSecret]
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			people := []*accounts.Accounts{d.people, elsewhere.people}[i%2]
			n, err := people.RotateSecret(t.Context(), admin, ann.ID, s.ID, time.Hour)
			switch {
			case err == nil && !made.CompareAndSwap(nil, &n):
				t.Error("rotated twice")
			case err != nil && !errors.Is(err, accounts.ErrInUse):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, d.secrets(ann.ID), 2, "those of the losers are gone")
	d.in(bearer(made.Load().Value.Value()))
	stored, err := elsewhere.people.Secret(t.Context(), ann.ID, s.ID)
	require.NoError(t, err)
	require.Equal(t, made.Load().ID, stored.Rotated)
}

// TestRotationKilled kills the process after each write of a rotation. The old secret is then as before,
// or rotated into one that exists.
func TestRotationKilled(t *testing.T) {
	for n := 0; ; n++ {
		below := memory.New(nil)
		storage := drivertest.NewFaulty(below, nil)
		d := newDesk(t, storage, nil)
		ann := d.user("ann", "")
		s := d.secret(ann.ID, nil)
		storage.CutAfter(n)
		made, err := d.people.RotateSecret(t.Context(), admin, ann.ID, s.ID, time.Hour)
		cut := storage.Cut()

		after := newDesk(t, below, nil)
		after.in(bearer(s.Value.Value()))
		old, gerr := after.people.Secret(t.Context(), ann.ID, s.ID)
		require.NoError(t, gerr)
		if err == nil {
			require.Equal(t, made.ID, old.Rotated)
		}
		if made.Value != "" {
			after.in(bearer(made.Value.Value()))
		}
		if old.Rotated != "" {
			_, gerr = after.people.Secret(t.Context(), ann.ID, old.Rotated)
			require.NoError(t, gerr)
		} else {
			require.True(t, old.Expires.IsZero())
			next, rerr := after.people.RotateSecret(t.Context(), admin, ann.ID, s.ID, time.Hour)
			require.NoError(t, rerr, "it can be repeated")
			after.in(bearer(next.Value.Value()))
		}
		if !cut {
			require.NoError(t, err)
			require.Greater(t, n, 1)
			return
		}
	}
}

// TestRotationFails: writes of a rotation fail, or lose their response. The caller gets a secret that
// works, or none and the old one is as it was.
func TestRotationFails(t *testing.T) {
	for n := 1; n <= 2; n++ {
		for _, fault := range []func(*drivertest.Faulty, int){(*drivertest.Faulty).FailWrite,
			(*drivertest.Faulty).LoseResponse} {
			storage := drivertest.NewFaulty(memory.New(nil), nil)
			d := newDesk(t, storage, nil)
			ann := d.user("ann", "")
			s := d.secret(ann.ID, nil)
			fault(storage, n)
			made, err := d.people.RotateSecret(t.Context(), admin, ann.ID, s.ID, time.Hour)
			d.in(bearer(s.Value.Value()))
			list := d.secrets(ann.ID)
			if err != nil {
				require.ErrorIs(t, err, drivertest.ErrInjected)
				require.Empty(t, made.Value)
				require.Len(t, list, 1)
				require.Empty(t, list[0].Rotated)
				continue
			}
			require.Len(t, list, 2)
			d.in(bearer(made.Value.Value()))
		}
	}
}
