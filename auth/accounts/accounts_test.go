package accounts_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

func TestCreateUserAndLogIn(t *testing.T) {
	ctx := t.Context()
	a, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	ann, err := a.CreateUser(ctx, accounts.Actor{}, "ann", password, nil)
	require.NoError(t, err)
	got, err := a.Lookup(ctx, "ann")
	require.NoError(t, err)
	require.Equal(t, ann, got)
	got, err = a.Account(ctx, ann.ID)
	require.NoError(t, err)
	require.Equal(t, ann, got)
	_, err = a.Lookup(ctx, "an-n")
	require.ErrorIs(t, err, accounts.ErrUnknown)

	version, err := a.CheckPassword(ctx, ann.ID, password)
	require.NoError(t, err)
	require.NotEmpty(t, version)
	_, err = a.CheckPassword(ctx, ann.ID, password+"x")
	require.ErrorIs(t, err, accounts.ErrUnknown)
	_, err = a.CheckPassword(ctx, "", password)
	require.ErrorIs(t, err, accounts.ErrUnknown)

	acme, err := a.CreateOrganisation(ctx, accounts.Actor{}, "acme", ann.ID, nil)
	require.NoError(t, err)
	require.Equal(t, []accounts.ID{ann.ID}, acme.Owners)
}
