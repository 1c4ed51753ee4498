package accounts_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// overwrite changes an object as no program of this module does.
func overwrite(t *testing.T, d driver.Driver, key, content string) {
	_, err := d.Put(t.Context(), key, strings.NewReader(content), &driver.PutOptions{Size: int64(len(content))})
	require.NoError(t, err)
}

// objects returns the content of all objects.
func objects(t *testing.T, d driver.Driver) map[string]string {
	all := make(map[string]string)
	for _, key := range keys(t, d) {
		body, _, err := d.Open(t.Context(), key, nil)
		require.NoError(t, err)
		content, err := io.ReadAll(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		all[key] = string(content)
	}
	return all
}

// TestDamagedFacts replaces each object by others: nobody has more rights than before, whatever was lost, and nothing
// panics.
func TestDamagedFacts(t *testing.T) {
	ctx, d := t.Context(), memory.New(nil)
	a := newAccounts(t, d, nil)
	owner, ann := newUser(t, a, "olga"), newUser(t, a, "ann")
	require.NoError(t, a.AddAdmin(ctx, operator, owner.ID))
	acme := newOrganisation(t, a, "acme", owner.ID)
	newTeam(t, a, acme, "dev", accounts.Grant{Repositories: "app/**", Role: accounts.Write})
	newTeam(t, a, acme, "ops", accounts.Grant{Repositories: "**", Role: accounts.Maintain})
	require.NoError(t, a.JoinTeam(ctx, operator, acme, "dev", ann.ID))
	require.NoError(t, a.JoinTeam(ctx, operator, acme, "ops", newUser(t, a, "eve").ID))
	setVisibility(t, a, "acme/open", accounts.Public)
	setVisibility(t, a, "acme/app", accounts.Private)
	read := &accounts.SecretOptions{Scopes: []accounts.Grant{{Repositories: "acme/app", Role: accounts.Read}}}
	narrow, err := a.CreateSecret(ctx, operator, ann.ID, "narrow", read)
	require.NoError(t, err)
	_, err = a.CreateSecret(ctx, operator, ann.ID, "wide", nil)
	require.NoError(t, err)
	gone, err := a.CreateSecret(ctx, operator, ann.ID, "gone", nil)
	require.NoError(t, err)
	_, err = a.RotateSecret(ctx, operator, ann.ID, gone.ID, 0)
	require.NoError(t, err)
	robot, err := a.CreateRobot(ctx, operator, acme, "ci", []accounts.Grant{{Repositories: "app", Role: accounts.Read}})
	require.NoError(t, err)
	_, err = a.CreateRobot(ctx, operator, acme, "root", []accounts.Grant{{Repositories: "**", Role: accounts.Admin}})
	require.NoError(t, err)
	left := newUser(t, a, "left")
	_, err = a.Disable(ctx, operator, left.ID)
	require.NoError(t, err)

	bySecret := func(id string) auth.Identity {
		who := identityOf(ann)
		who.Claims[accounts.SecretClaim] = id
		return who
	}
	callers := map[string]auth.Identity{"nobody": {}, "ann": identityOf(ann), "narrow": bySecret(narrow.ID),
		"gone": bySecret(gone.ID), "robot": identityOf(robot), "left": identityOf(left)}
	rights := func() map[string]bool {
		fresh := newAccounts(t, d, nil)
		access := accounts.NewAuthorizer(fresh)
		logins, err := accounts.NewAuthenticator(fresh, nil)
		require.NoError(t, err)
		has := make(map[string]bool)
		for name, who := range callers {
			for _, repository := range []string{"acme/app", "acme/open", "acme/other", "ann/app", "olga/app", "left/app"} {
				for _, action := range []auth.Action{auth.Pull, auth.Push, auth.Delete, auth.All} {
					accesses := []auth.Access{{Type: auth.TypeRepository, Name: repository, Action: action}}
					has[name+" "+accesses[0].String()] = access.Authorize(ctx, who, accesses) == nil
				}
			}
			_, err := logins.Renew(ctx, who)
			has[name+" renews"] = err == nil
		}
		_, err = logins.Authenticate(basic("ann", gone.Value.Value()))
		has["the ended secret"] = err == nil
		token, err := fresh.SetupToken(ctx)
		has["setup"] = err == nil && token != ""
		return has
	}
	before, all := rights(), objects(t, d)
	require.True(t, before["ann repository:acme/app:push"])
	for key, content := range all {
		others := map[string]string{"null": "null", "no fact": `{"nonce":"x"}`, "null fact": `{"nonce":"x","fact":null}`,
			"empty": "", "cut off": content[:len(content)/2], "list": "[]", "text": `{"nonce":"x","fact":"text"}`}
		for other, foreign := range all {
			if other != key {
				others[other] = foreign
			}
		}
		for name, other := range others {
			overwrite(t, d, key, other)
			for right, has := range rights() {
				require.False(t, has && !before[right], "%s: %s replaced by %s", right, key, name)
			}
			for _, key := range keys(t, d) {
				if _, ok := all[key]; !ok { // a setup token, say
					require.NoError(t, d.Delete(ctx, key, ""))
				}
			}
		}
		overwrite(t, d, key, content)
	}
	require.Equal(t, before, rights())
}

// TestUnusualClaims: claims of any type from another Authenticator give nothing.
func TestUnusualClaims(t *testing.T) {
	ctx, d := t.Context(), memory.New(nil)
	a := newAccounts(t, d, nil)
	ann := newUser(t, a, "ann")
	s, err := a.CreateSecret(ctx, operator, ann.ID, "x", nil)
	require.NoError(t, err)
	logins, err := accounts.NewAuthenticator(a, nil)
	require.NoError(t, err)
	federated := accounts.Federate(a, auth.AuthenticatorFunc(nil)).(auth.Renewer)
	access := accounts.NewAuthorizer(a)
	odd := []any{nil, "", 1, 1.5, true, []any{string(ann.ID)}, []string{string(ann.ID)}, map[string]any{"id": ann.ID},
		json.Number("1"), ann.ID, &ann.ID, struct{}{}, func() {}, "../admins", strings.Repeat("a", 1<<16), "\x00", ann}
	for _, id := range odd {
		for _, secret := range append(odd, s.ID) {
			who := auth.Identity{Name: "ann", Claims: map[string]any{accounts.AccountClaim: id, accounts.SecretClaim: secret}}
			require.False(t, may(t, access, who, auth.Pull, "ann/app"))
			for _, r := range []auth.Renewer{logins, federated} {
				_, err := r.Renew(ctx, who)
				require.ErrorIs(t, err, auth.ErrCredentials)
			}
		}
	}
	for _, secret := range odd {
		who := identityOf(ann)
		who.Claims[accounts.SecretClaim] = secret
		require.False(t, may(t, access, who, auth.Pull, "ann/app"), "%T", secret)
		_, err := logins.Renew(ctx, who)
		require.ErrorIs(t, err, auth.ErrCredentials)
		who.Claims = map[string]any{accounts.SecretClaim: secret}
		require.False(t, may(t, access, who, auth.Pull, "ann/app"), "%T", secret)
	}
}
