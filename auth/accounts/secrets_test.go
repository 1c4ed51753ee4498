package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func TestCreateSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, nil)
		ann := d.user("ann", "")
		scopes := []accounts.Grant{{Repositories: "ann/app/**", Role: accounts.Read}}
		ends := time.Now().Add(time.Hour)
		s := d.secret(ann.ID, &accounts.SecretOptions{Expires: ends, Scopes: scopes})
		require.Equal(t, accounts.HashSecret(s.Value.Value()), s.Hash)
		owner, id, ok := accounts.ParseSecret(s.Value.Value())
		require.True(t, ok)
		require.Equal(t, []string{string(ann.ID), s.ID}, []string{string(owner), id})
		stored, err := d.people.Secret(t.Context(), ann.ID, s.ID)
		require.NoError(t, err)
		require.Equal(t, s.Secret, *stored)
		require.Equal(t, scopes, stored.Scopes)
		require.Equal(t, ends.UTC(), stored.Expires)

		time.Sleep(time.Second)
		d.secret(ann.ID, nil)
		list := d.secrets(ann.ID)
		require.Len(t, list, 2)
		require.Equal(t, s.ID, list[0].ID, "oldest first")
		d.in(bearer(s.Value.Value()))
		time.Sleep(time.Hour)
		d.out(bearer(s.Value.Value()), "expired")
		require.Len(t, d.secrets(ann.ID), 2)
		require.Empty(t, d.secrets("aaaaaaaaaaaaaaaa"))
		require.Empty(t, d.secrets("../u"))
	})
}

func TestCreateSecretInvalid(t *testing.T) {
	d := newDesk(t, nil, nil)
	ctx := t.Context()
	ann, gone := d.user("ann", ""), d.user("gone", "")
	acme, err := d.people.CreateOrganisation(ctx, admin, "acme", ann.ID, nil)
	require.NoError(t, err)
	require.NoError(t, d.people.Remove(ctx, admin, gone.ID))
	for _, row := range []struct {
		owner accounts.ID
		name  string
		opts  accounts.SecretOptions
		err   error
	}{
		{"", "x", accounts.SecretOptions{}, accounts.ErrUnknown},
		{"../../admins", "x", accounts.SecretOptions{}, accounts.ErrUnknown},
		{"aaaaaaaaaaaaaaaa", "x", accounts.SecretOptions{}, accounts.ErrUnknown},
		{gone.ID, "x", accounts.SecretOptions{}, accounts.ErrUnknown},
		{acme.ID, "x", accounts.SecretOptions{}, accounts.ErrInvalid},
		{ann.ID, "", accounts.SecretOptions{}, accounts.ErrInvalid},
		{ann.ID, "a\nb", accounts.SecretOptions{}, accounts.ErrInvalid},
		{ann.ID, "\xff", accounts.SecretOptions{}, accounts.ErrInvalid},
		{ann.ID, strings.Repeat("ä", 101), accounts.SecretOptions{}, accounts.ErrInvalid},
		{ann.ID, "x", accounts.SecretOptions{Expires: time.Now().Add(-time.Second)}, accounts.ErrInvalid},
		{ann.ID, "x", accounts.SecretOptions{Expires: time.Now().AddDate(9000, 0, 0)}, accounts.ErrInvalid},
		{ann.ID, "x", accounts.SecretOptions{Scopes: []accounts.Grant{}}, accounts.ErrInvalid},
		{ann.ID, "x", accounts.SecretOptions{Scopes: []accounts.Grant{{Repositories: "a", Role: "x"}}}, accounts.ErrInvalid},
		{ann.ID, "x", accounts.SecretOptions{Scopes: []accounts.Grant{{Repositories: "!a", Role: "read"}}},
			accounts.ErrInvalid},
		{ann.ID, "x", accounts.SecretOptions{Scopes: make([]accounts.Grant, 101)}, accounts.ErrInvalid},
	} {
		s, err := d.people.CreateSecret(ctx, admin, row.owner, row.name, &row.opts)
		require.ErrorIs(t, err, row.err, "%+v", row)
		require.Zero(t, s)
	}
	require.Empty(t, d.secrets(ann.ID))
	_, err = d.people.CreateSecret(ctx, admin, ann.ID, strings.Repeat("ä", 100), nil)
	require.NoError(t, err)
	for _, id := range []string{"", "aaaaaaaaaa", "../../u/xx"} {
		require.ErrorIs(t, d.people.RevokeSecret(ctx, admin, ann.ID, id), accounts.ErrUnknown)
		_, err = d.people.RotateSecret(ctx, admin, ann.ID, id, 0)
		require.ErrorIs(t, err, accounts.ErrUnknown)
		_, err = d.people.Secret(ctx, ann.ID, id)
		require.ErrorIs(t, err, accounts.ErrUnknown)
	}
}

// TestSecretsLimited: 24 callers at once make 60 secrets of a robot, in two processes. 20 remain, and
// all of them work.
func TestSecretsLimited(t *testing.T) {
	storage := memory.New(nil)
	d, elsewhere := newDesk(t, storage, nil), newDesk(t, storage, nil)
	robot := d.robot(d.user("ann", "").ID, "ci")
	var mu sync.Mutex
	var made []accounts.NewSecret
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			for range 5 {
				people := []*accounts.Accounts{d.people, elsewhere.people}[i%2]
				s, err := people.CreateSecret(t.Context(), admin, robot.ID, "x", nil)
				if err == nil {
					mu.Lock()
					made = append(made, s)
					mu.Unlock()
				} else if !errors.Is(err, accounts.ErrLimit) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.LessOrEqual(t, len(made), accounts.MaxRobotSecrets)
	require.Len(t, d.secrets(robot.ID), len(made))
	for _, s := range made {
		d.in(bearer(s.Value.Value()))
	}
	for i := len(made); i < accounts.MaxRobotSecrets; i++ {
		made = append(made, d.secret(robot.ID, nil))
	}
	_, err := d.people.CreateSecret(t.Context(), admin, robot.ID, "x", nil)
	require.ErrorIs(t, err, accounts.ErrLimit)
	_, err = d.people.RotateSecret(t.Context(), admin, robot.ID, made[0].ID, time.Hour)
	require.ErrorIs(t, err, accounts.ErrLimit)
	d.in(bearer(made[0].Value.Value()))
	require.Len(t, d.secrets(robot.ID), accounts.MaxRobotSecrets)
}

// TestExpiredSecretsMakeRoom: at the limit, expired secrets are removed.
func TestExpiredSecretsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil, nil)
		ann := d.user("ann", "")
		for range accounts.MaxUserSecrets - 1 {
			d.secret(ann.ID, &accounts.SecretOptions{Expires: time.Now().Add(time.Minute)})
		}
		kept := d.secret(ann.ID, nil)
		_, err := d.people.CreateSecret(t.Context(), admin, ann.ID, "x", nil)
		require.ErrorIs(t, err, accounts.ErrLimit)
		time.Sleep(time.Hour)
		made := d.secret(ann.ID, nil)
		list := d.secrets(ann.ID)
		require.Len(t, list, 2)
		require.Equal(t, []string{kept.ID, made.ID}, []string{list[0].ID, list[1].ID})
	})
}

// TestRevokedElsewhere: a secret that one process revokes is refused by the others within Refresh, as is a new one
// known at once.
func TestRevokedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := memory.New(nil)
		d, elsewhere := newDesk(t, storage, nil), newDesk(t, storage, nil)
		ann := d.user("ann", "")
		s := d.secret(ann.ID, nil)
		who := d.in(bearer(s.Value.Value()))
		elsewhere.in(bearer(s.Value.Value()))
		require.NoError(t, elsewhere.people.RevokeSecret(t.Context(), admin, ann.ID, s.ID))
		elsewhere.out(bearer(s.Value.Value()), "unknown secret")
		time.Sleep(accounts.DefaultRefresh)
		d.out(bearer(s.Value.Value()), "unknown secret")
		_, err := d.logins.Renew(t.Context(), who)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.ErrorIs(t, d.people.RevokeSecret(t.Context(), admin, ann.ID, s.ID), accounts.ErrUnknown)
		next := elsewhere.secret(ann.ID, nil)
		d.in(bearer(next.Value.Value()))
		_, err = elsewhere.people.Disable(t.Context(), admin, ann.ID)
		require.NoError(t, err)
		time.Sleep(accounts.DefaultRefresh)
		d.out(bearer(next.Value.Value()), "disabled")
	})
}

// TestRevokeAtOnce: of many callers, one revokes a secret, also while others rotate it. None of them brings it back.
func TestRevokeAtOnce(t *testing.T) {
	storage := memory.New(nil)
	d, elsewhere := newDesk(t, storage, nil), newDesk(t, storage, nil)
	ann := d.user("ann", "")
	for range 20 {
		s := d.secret(ann.ID, nil)
		var revoked, rotated int
		var next accounts.NewSecret
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range 6 {
			people := []*accounts.Accounts{d.people, elsewhere.people}[i%2]
			wg.Go(func() {
				err := people.RevokeSecret(t.Context(), admin, ann.ID, s.ID)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					revoked++
				} else if !errors.Is(err, accounts.ErrUnknown) {
					t.Error(err)
				}
			})
			wg.Go(func() {
				made, err := people.RotateSecret(t.Context(), admin, ann.ID, s.ID, time.Hour)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					rotated++
					next = made
				} else if !errors.Is(err, accounts.ErrUnknown) && !errors.Is(err, accounts.ErrInUse) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, revoked)
		require.LessOrEqual(t, rotated, 1)
		d.out(bearer(s.Value.Value()), "unknown secret")
		require.Len(t, d.secrets(ann.ID), rotated)
		if rotated == 1 {
			d.in(bearer(next.Value.Value()))
			require.NoError(t, d.people.RevokeSecret(t.Context(), admin, ann.ID, next.ID))
		}
	}
}

// TestRevokeFails: after an error, a secret is there or not, and the call can be repeated.
func TestRevokeFails(t *testing.T) {
	storage := drivertest.NewFaulty(memory.New(nil), nil)
	d := newDesk(t, storage, nil)
	ann := d.user("ann", "")
	s := d.secret(ann.ID, nil)
	storage.FailWrite(1)
	require.ErrorIs(t, d.people.RevokeSecret(t.Context(), admin, ann.ID, s.ID), drivertest.ErrInjected)
	d.in(bearer(s.Value.Value()))
	storage.LoseResponse(1)
	require.NoError(t, d.people.RevokeSecret(t.Context(), admin, ann.ID, s.ID))
	d.out(bearer(s.Value.Value()), "unknown secret")

	storage.FailWrite(1)
	_, err := d.people.CreateSecret(t.Context(), admin, ann.ID, "x", nil)
	require.ErrorIs(t, err, drivertest.ErrInjected)
	storage.LoseResponse(1)
	_, err = d.people.CreateSecret(t.Context(), admin, ann.ID, "x", nil)
	require.ErrorIs(t, err, drivertest.ErrInjected)
	require.Empty(t, d.secrets(ann.ID))
}

// TestSecretsAudited: each change and each refusal has a record, and none has a secret.
func TestSecretsAudited(t *testing.T) {
	var all []accounts.Change
	people, err := accounts.New(memory.New(nil), &accounts.Options{
		Audit: func(_ context.Context, c accounts.Change) { all = append(all, c) }})
	require.NoError(t, err)
	ctx := t.Context()
	ann, err := people.CreateUser(ctx, admin, "ann", "", nil)
	require.NoError(t, err)
	all = nil
	by := accounts.Actor{Name: "ann", Reason: "new laptop"}
	s, err := people.CreateSecret(ctx, by, ann.ID, "laptop", nil)
	require.NoError(t, err)
	next, err := people.RotateSecret(ctx, by, ann.ID, s.ID, time.Hour)
	require.NoError(t, err)
	_, err = people.RotateSecret(ctx, by, ann.ID, s.ID, time.Hour)
	require.ErrorIs(t, err, accounts.ErrInUse)
	require.NoError(t, people.RevokeSecret(ctx, by, ann.ID, s.ID))
	_, err = people.CreateSecret(ctx, by, "x\ny", "laptop", nil)
	require.Error(t, err)
	var lines []string
	for _, c := range all {
		require.Equal(t, "ann", c.By)
		require.Equal(t, "new laptop", c.Reason)
		require.NotContains(t, fmt.Sprint(c), "rkp_")
		lines = append(lines, fmt.Sprint(c.Action, " ", c.Account, " ", c.Secret, " ", c.Before, "→", c.After, " ",
			c.Refused))
	}
	require.Equal(t, []string{
		"secret.create ann " + s.ID + " →laptop ",
		"secret.rotate ann " + s.ID + " →" + next.ID + " ",
		"secret.rotate ann " + s.ID + " → accounts: in use: the secret was rotated before, into " + next.ID,
		"secret.revoke ann " + s.ID + " laptop→ ",
		"secret.create   → accounts: unknown account",
	}, lines)
}
