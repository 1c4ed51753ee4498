package accounts_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// TestIdentify: the identity is that of a login, without the claim of its secret.
func TestIdentify(t *testing.T) {
	ctx, a := t.Context(), newAccounts(t, memory.New(nil), nil)
	ann := newUser(t, a, "ann")
	_, err := a.CreateOrganisation(ctx, operator, "acme", ann.ID, nil)
	require.NoError(t, err)
	secret, err := a.CreateSecret(ctx, operator, ann.ID, "laptop", nil)
	require.NoError(t, err)
	logins, err := accounts.NewAuthenticator(a, nil)
	require.NoError(t, err)
	r := httptest.NewRequest("GET", "/", nil)
	r.SetBasicAuth("ann", secret.Value.Value())
	login, err := logins.Authenticate(r)
	require.NoError(t, err)
	delete(login.Claims, accounts.SecretClaim)
	identity, err := accounts.Identify(ctx, a, "ann")
	require.NoError(t, err)
	require.Equal(t, login, identity)
	for _, name := range []string{"acme", "none", "", "../x"} {
		_, err = accounts.Identify(ctx, a, name)
		require.ErrorIs(t, err, accounts.ErrUnknown, name)
	}
}

func TestSummary(t *testing.T) {
	for description, want := range map[string]string{
		"": "", "App": "App", "\n\n# The  app #1\n\nand more": "The  app #1", "##\n---\n": "---",
		"\r\n ## App \r\nx": "App", strings.Repeat("é", 200): strings.Repeat("é", 128),
		"a" + strings.Repeat("é", 200): "a" + strings.Repeat("é", 127),
	} {
		require.Equal(t, want, (&accounts.Repository{Description: description}).Summary())
	}
}
