package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/storage/memory"
)

// A CI system logs in as a robot, by rules that name the robot. Here, a header of its proxy stands for its token.
func ExampleFederate() {
	ctx := context.Background()
	people, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := people.CreateUser(ctx, accounts.Actor{}, "ann", "", nil); err != nil {
		fmt.Println(err)
		return
	}
	ci := auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
		return auth.Identity{Name: r.Header.Get("X-CI-User"), Claims: map[string]any{"ref": "main"}}, nil
	})
	logins := accounts.Federate(people, ci)
	r := httptest.NewRequest("GET", "/v2/", nil)
	for _, name := range []string{"ann", "github:acme/app"} {
		r.Header.Set("X-CI-User", name)
		who, err := logins.Authenticate(r)
		fmt.Println(who.Name, who.Claims["ref"], who.Claims[accounts.AccountClaim] != nil, err)
	}
	// Output:
	// ann main true <nil>
	// github:acme/app main false <nil>
}

// identified is an Authenticator that returns an identity or error.
type identified struct {
	who auth.Identity
	err error
}

func (i *identified) Authenticate(*http.Request) (auth.Identity, error) { return i.who, i.err }

func (i *identified) Challenge(*http.Request, []auth.Access) string { return "X" }

// TestFederate: the names of active users and robots become accounts, names of nobody pass, and all
// others are refused.
func TestFederate(t *testing.T) {
	memory := accountstest.NewMemory(accountstest.Sample(now()))
	inner := &identified{}
	f := accounts.Federate(memory, inner)
	require.Equal(t, "X", f.Challenge(nil, nil))
	try := func(who auth.Identity) (auth.Identity, error) {
		inner.who = who
		return f.Authenticate(httptest.NewRequest("GET", "/v2/", nil))
	}
	given := auth.Identity{Groups: []string{"root"}, Claims: map[string]any{"sub": "x"}}
	for name, want := range map[string]accounts.ID{"carol": accountstest.Carol, "acme+deploy": accountstest.Deploy} {
		given.Name = name
		who, err := try(given)
		require.NoError(t, err)
		require.Equal(t, name, who.Name)
		require.Equal(t, map[string]any{"sub": "x", accounts.AccountClaim: string(want)}, who.Claims)
		require.NotContains(t, who.Groups, "root", "the groups are those of the account")
		require.Len(t, given.Claims, 1, "claims are not changed")
	}
	for _, name := range []string{"", "nobody", "github:acme/app", "erin"} {
		given.Name = name
		who, err := try(given)
		require.NoError(t, err)
		require.Equal(t, given, who)
	}
	for name, reason := range map[string]string{"dave": "disabled", "acme": "neither", "francis": "another name",
		"closed+orphan": "namespace", "acme+other": "robot does not exist"} {
		given.Name = name
		_, err := try(given)
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.ErrorContains(t, err, reason)
	}
	for _, claim := range []string{accounts.AccountClaim, accounts.SecretClaim, "registrykit.io/other"} {
		_, err := try(auth.Identity{Name: "nobody", Claims: map[string]any{claim: string(accountstest.Ann)}})
		require.ErrorIs(t, err, auth.ErrCredentials)
	}
	inner.err = errors.New("down")
	_, err := f.Authenticate(httptest.NewRequest("GET", "/v2/", nil))
	require.ErrorIs(t, err, inner.err)
}

// TestFederateRenew: a federated login is renewed by the inner Authenticator, as the same account.
func TestFederateRenew(t *testing.T) {
	d := newDesk(t, nil, nil)
	ann := d.user("ann", password)
	machines, err := static.New(map[string]static.User{"ann": {Secret: "long and random"}, "x-1": {Secret: "other"}}, nil)
	require.NoError(t, err)
	f := accounts.Federate(d.people, machines)
	both, err := chain.New(d.logins, f)
	require.NoError(t, err)
	who, err := both.Authenticate(basic("ann", "long and random"))
	require.NoError(t, err)
	require.Equal(t, string(ann.ID), who.Claims[accounts.AccountClaim])
	again, err := auth.Renew(t.Context(), both, who)
	require.NoError(t, err)
	require.Equal(t, who, again)

	own := d.in(basic("ann", password))
	again, err = both.Renew(t.Context(), own)
	require.NoError(t, err)
	require.Equal(t, own, again)
	_, err = auth.Renew(t.Context(), f, own)
	require.ErrorIs(t, err, auth.ErrCredentials)
	_, err = auth.Renew(t.Context(), f, d.in(bearer(d.secret(ann.ID, nil).Value.Value())))
	require.ErrorIs(t, err, auth.ErrCredentials)

	machine, err := both.Authenticate(basic("x-1", "other"))
	require.NoError(t, err)
	require.NotContains(t, machine.Claims, accounts.AccountClaim)
	_, err = auth.Renew(t.Context(), both, machine)
	require.NoError(t, err)
	d.user("x-1", "")
	_, err = auth.Renew(t.Context(), both, machine)
	require.ErrorIs(t, err, auth.ErrCredentials, "the name became that of an account")
	_, err = d.people.Disable(t.Context(), admin, ann.ID)
	require.NoError(t, err)
	_, err = auth.Renew(t.Context(), both, who)
	require.ErrorIs(t, err, auth.ErrCredentials)
}
