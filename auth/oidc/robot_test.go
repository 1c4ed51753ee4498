package oidc_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/oidc"
	"github.com/registrykit/registry/storage/memory"
)

// TestRobot: the release logs in as the robot acme+deploy of accounts, with its grants, as long as the robot is active.
// Accounts and ID tokens work in a chain in either order.
func TestRobot(t *testing.T) {
	ctx, is := t.Context(), newIssuer(t, github.issuer)
	people, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	admin := accounts.Actor{Name: "test"}
	ann, err := people.CreateUser(ctx, admin, "ann", "a long password of ann", nil)
	require.NoError(t, err)
	acme, err := people.CreateOrganisation(ctx, admin, "acme", ann.ID, nil)
	require.NoError(t, err)
	robot, err := people.CreateRobot(ctx, admin, acme.ID, "deploy", []accounts.Grant{{Repositories: "app/**",
		Role: accounts.Write}})
	require.NoError(t, err)
	logins, err := accounts.NewAuthenticator(people, nil)
	require.NoError(t, err)

	p, err := oidc.Load("testdata/github.yaml")
	require.NoError(t, err)
	release := &p.Rules[0]
	release.Robot, release.Identity, release.Groups = "acme+deploy", "", nil
	jobs := accounts.Federate(people, is.open(t, p))
	for _, links := range [][]auth.Authenticator{{jobs, logins}, {logins, jobs}} {
		users, err := chain.New(links...)
		require.NoError(t, err)
		s := newSite(t, users, accounts.NewAuthorizer(people))
		for _, j := range github.jobs {
			claims := maps.Clone(github.claims)
			maps.Copy(claims, j.claims)
			job := password("anybody", is.token(t, claims))
			want, other := http.StatusForbidden, http.StatusForbidden
			switch {
			case j.name == "github:acme/app":
				want = http.StatusAccepted
			case j.name == "":
				want, other = http.StatusUnauthorized, http.StatusUnauthorized
			}
			require.Equal(t, want, s.push("acme/app/web", job), j.what)
			require.Equal(t, other, s.push("acme/other", job), j.what)
			require.Equal(t, other, s.push("ann/app/web", job), j.what)
			if bearer, status := s.token(t, job, "acme/app/web"); j.name != "" {
				require.Equal(t, http.StatusOK, status, j.what)
				require.Equal(t, want, s.push("acme/app/web", bearer), j.what)
			}
		}
		require.Equal(t, http.StatusAccepted, s.push("acme/other", password("ann", "a long password of ann")))
		require.Equal(t, http.StatusUnauthorized, s.push("acme/other", password("ann", "another password")))

		job := password("x", is.token(t, github.claims))
		bearer, _ := s.token(t, job, "acme/app/web")
		require.Equal(t, http.StatusAccepted, s.push("acme/app/web", bearer))
		last := s.decisions[len(s.decisions)-1]
		require.Equal(t, "acme+deploy", last.Identity.Name)
		require.Equal(t, string(robot.ID), last.Identity.Claims[accounts.AccountClaim])
		require.Equal(t, "github: release", last.Identity.Claims[oidc.RuleClaim])
		_, err = people.Disable(ctx, admin, robot.ID)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, s.push("acme/app/web", job))
		require.Equal(t, http.StatusForbidden, s.push("acme/app/web", bearer))
		_, err = people.Enable(ctx, admin, robot.ID)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, s.push("acme/app/web", job))
	}
}

// TestNoAccountByToken: a token can claim what it wants, it becomes no account unless a rule names the robot.
func TestNoAccountByToken(t *testing.T) {
	ctx, is := t.Context(), newIssuer(t, issuerURL)
	people, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	ann, err := people.CreateUser(ctx, accounts.Actor{}, "ann", "a long password of ann", nil)
	require.NoError(t, err)
	p := is.anyJob()
	p.Rules[0].Keep = []string{"sub", "registrykit.io"}
	s := newSite(t, accounts.Federate(people, is.open(t, p)), accounts.NewAuthorizer(people))
	for _, claims := range []map[string]any{
		{"sub": "ann"}, {"sub": "ann", accounts.AccountClaim: ann.ID},
		{"sub": "x", "registrykit.io": object{"account": ann.ID}},
		{"sub": ":ann"}, {"sub": "ci:ann"}, {"sub": "\u202eann"}, {"sub": " ann"},
	} {
		status := s.push("ann/app", password("ann", is.token(t, claims)))
		require.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, status, claims)
	}
}
