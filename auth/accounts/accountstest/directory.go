package accountstest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
)

// TestDirectory checks a Directory. open must return a Directory with exactly these facts and their IDs.
func TestDirectory(t *testing.T, open func(t *testing.T, facts Facts) accounts.Directory) {
	facts := Sample(time.Now())
	d := open(t, facts)
	t.Run("Lookup", func(t *testing.T) { testLookup(t, d, facts) })
	t.Run("Account", func(t *testing.T) { testAccount(t, d, facts) })
	t.Run("IsAdmin", func(t *testing.T) { testIsAdmin(t, d, facts) })
	t.Run("Password", func(t *testing.T) { testPassword(t, d, facts) })
	t.Run("Secret", func(t *testing.T) { testSecret(t, d, facts) })
	t.Run("Grants", func(t *testing.T) { testGrants(t, d) })
	t.Run("Groups", func(t *testing.T) { testGroups(t, d) })
	t.Run("Visibility", func(t *testing.T) { testVisibility(t, d) })
	t.Run("Authorizer", func(t *testing.T) { testDecisions(t, d) })
	t.Run("AtOnce", func(t *testing.T) { testAtOnce(t, d, facts) })
	t.Run("EndedContext", func(t *testing.T) { testEndedContext(t, d, facts) })
}

// Names and IDs that no account has. Some could not be stored, and some could be mistaken for a path or a pattern.
var (
	unknownNames = []string{"", "nobody", "Ann", "ANN", " ann", "ann ", "ann+", "+deploy", "acme+nobody", "acme+Deploy",
		"acme+deploy+deploy", "ann+deploy", "acme/dev", "../ann", ".", "/", "*", "a\x00nn", "ann\n", "änn", "\xff",
		string(Ann), strings.Repeat("a", 100_000)}
	unknownIDs = []accounts.ID{"", "zzzzzzzzzzzzzzzz", "ANNAAAAAAAAAAAAA", "annaaaaaaaaaaaa", "annaaaaaaaaaaaaaa", "ann",
		"../aaaaaaaaaaaaa", "annaaaaaaaaa/aaa", "\xffnnaaaaaaaaaaaaa", "*", accounts.ID(strings.Repeat("a", 100_000))}
)

// equal compares an account with that of the Directory. Times may have lost their zone and fractions of seconds.
func equal(t *testing.T, want accounts.Account, got *accounts.Account) {
	t.Helper()
	require.NotNil(t, got)
	g := *got
	require.WithinDuration(t, want.Created, g.Created, time.Second)
	require.Equal(t, want.Disabled == nil, g.Disabled == nil, "%s: disabled", want.Name)
	require.Equal(t, want.Removed == nil, g.Removed == nil, "%s: removed", want.Name)
	g.Created, g.Disabled, g.Removed = want.Created, want.Disabled, want.Removed
	require.ElementsMatch(t, want.Owners, g.Owners)
	require.ElementsMatch(t, want.Former, g.Former)
	require.ElementsMatch(t, want.Grants, g.Grants)
	g.Owners, g.Former, g.Grants = want.Owners, want.Former, want.Grants
	if g.Visibility == accounts.Private { // the default
		g.Visibility = ""
	}
	require.Equal(t, want, g)
}

func testLookup(t *testing.T, d accounts.Directory, facts Facts) {
	for _, want := range facts.Accounts {
		for _, name := range append([]string{want.Name}, want.Former...) {
			got, err := d.Lookup(t.Context(), name)
			if want.Removed != nil {
				require.ErrorIs(t, err, accounts.ErrUnknown, "%q is removed", name)
				continue
			}
			require.NoError(t, err, name)
			equal(t, want, got)
		}
	}
	for _, name := range unknownNames {
		got, err := d.Lookup(t.Context(), name)
		require.ErrorIs(t, err, accounts.ErrUnknown, "%.40q", name)
		require.Nil(t, got)
	}
}

func testAccount(t *testing.T, d accounts.Directory, facts Facts) {
	for _, want := range facts.Accounts {
		got, err := d.Account(t.Context(), want.ID)
		require.NoError(t, err, want.Name)
		equal(t, want, got)
	}
	for _, id := range unknownIDs {
		got, err := d.Account(t.Context(), id)
		require.ErrorIs(t, err, accounts.ErrUnknown, "%.40q", id)
		require.Nil(t, got)
	}
}

func testIsAdmin(t *testing.T, d accounts.Directory, facts Facts) {
	for _, a := range facts.Accounts {
		admin, err := d.IsAdmin(t.Context(), a.ID)
		require.NoError(t, err)
		require.Equal(t, a.ID == Ann, admin, a.Name)
	}
	for _, id := range unknownIDs {
		admin, err := d.IsAdmin(t.Context(), id)
		require.False(t, admin, "%.40q", id)
		unknownOrNil(t, err)
	}
}

// unknownOrNil accepts both ways to return nothing.
func unknownOrNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		require.ErrorIs(t, err, accounts.ErrUnknown)
	}
}

func testPassword(t *testing.T, d accounts.Directory, facts Facts) {
	versions := make(map[string]bool)
	for id, password := range facts.Passwords { // few checks, because each may take a while
		version, err := d.CheckPassword(t.Context(), id, password)
		require.NoError(t, err, id)
		again, err := d.PasswordVersion(t.Context(), id)
		require.NoError(t, err, id)
		require.Equal(t, version, again)
		require.NotEmpty(t, version)
		require.NotContains(t, version, password)
		require.Less(t, len(version), 100)
		versions[version] = true
	}
	require.Len(t, versions, len(facts.Passwords), "users share a version")
	right := facts.Passwords[Bob]
	for _, wrong := range []string{"", facts.Passwords[Ann], right + " ", strings.ToUpper(right), right + "\x00",
		strings.Repeat(right, 5_000)} {
		_, err := d.CheckPassword(t.Context(), Bob, wrong)
		require.ErrorIs(t, err, accounts.ErrUnknown, "%.40q", wrong)
	}
	for _, id := range []accounts.ID{Frank, Deploy, "", "../aaaaaaaaaaaaa"} {
		_, err := d.CheckPassword(t.Context(), id, "")
		require.ErrorIs(t, err, accounts.ErrUnknown, "%.40q has no password", id)
	}
	for _, id := range append([]accounts.ID{Frank, Acme, Deploy, Erin}, unknownIDs...) {
		_, err := d.PasswordVersion(t.Context(), id)
		require.ErrorIs(t, err, accounts.ErrUnknown, "%.40q has no password", id)
	}
}

func testSecret(t *testing.T, d accounts.Directory, facts Facts) {
	for _, want := range facts.Secrets {
		got, err := d.Secret(t.Context(), want.Owner, want.ID)
		require.NoError(t, err, want.ID)
		require.WithinDuration(t, want.Created, got.Created, time.Second)
		require.Equal(t, want.Expires.IsZero(), got.Expires.IsZero())
		require.WithinDuration(t, want.Expires, got.Expires, time.Second)
		require.ElementsMatch(t, want.Scopes, got.Scopes)
		require.Equal(t, want.Scopes == nil, got.Scopes == nil, "no scopes are not an empty list of scopes")
		require.Equal(t, want.Hash, got.Hash)
		require.Equal(t, want.Owner, got.Owner)
		require.Equal(t, want.ID, got.ID)
	}
	unknown := [][2]string{{string(Ann), "narrowaaaa"}, {string(Carol), ""}, {string(Carol), "zzzzzzzzzz"},
		{string(Carol), "NARROWAAAA"}, {string(Carol), "../secretaa"}, {string(Carol), strings.Repeat("a", 100_000)}}
	for _, id := range unknownIDs {
		unknown = append(unknown, [2]string{string(id), "narrowaaaa"})
	}
	for _, u := range unknown {
		_, err := d.Secret(t.Context(), accounts.ID(u[0]), u[1])
		require.ErrorIs(t, err, accounts.ErrUnknown, "%.40q", u)
	}
}

func testGrants(t *testing.T, d accounts.Directory) {
	for _, row := range []struct {
		organisation, user accounts.ID
		want               []accounts.Grant
	}{
		{Acme, Carol, []accounts.Grant{{Repositories: "app/**", Role: accounts.Write},
			{Repositories: "tools/*", Role: accounts.Maintain}, {Repositories: "**", Role: accounts.Read}}},
		{Acme, Bob, nil}, {Acme, Frank, nil}, {Acme, Deploy, nil}, {Acme, Acme, nil}, {Acme, Ann, nil},
		{Other, Carol, nil}, {Carol, Carol, nil}, {"", Carol, nil}, {Acme, "", nil}, {"zzzzzzzzzzzzzzzz", Carol, nil},
		{Acme, "../../../../../.", nil},
	} {
		got, err := d.Grants(t.Context(), row.organisation, row.user)
		unknownOrNil(t, err)
		require.ElementsMatch(t, row.want, got, "%s in %s", row.user, row.organisation)
	}
}

func testGroups(t *testing.T, d accounts.Directory) {
	for id, want := range map[accounts.ID][]string{
		Carol: {"acme", "acme/dev", "acme/ops", "other"},
		Bob:   {"acme", "acme/owners", "closed", "closed/owners"},
		Frank: {"other", "other/owners"},
		Ann:   nil, Deploy: nil, Acme: nil, Erin: nil, "": nil, "zzzzzzzzzzzzzzzz": nil,
	} {
		got, err := d.Groups(t.Context(), id)
		unknownOrNil(t, err)
		require.ElementsMatch(t, want, got, id)
	}
}

func testVisibility(t *testing.T, d accounts.Directory) {
	for repository, want := range map[string]accounts.Visibility{
		"acme/open": accounts.Public, "other/hidden": accounts.Private, "acme": "", "acme/open/more": "", "acme/ope": "",
		"acme/app": "", "other/app": "", "unknown/app": "", "": "", "Acme/Open": "", "acme/": "", "acme/../other": "",
		strings.Repeat("a", 10_000): "",
	} {
		got, err := d.Visibility(t.Context(), repository)
		unknownOrNil(t, err)
		require.Equal(t, want, got, "%.40q", repository)
	}
}

// testAtOnce calls everything from many goroutines. Run it with the race detector.
func testAtOnce(t *testing.T, d accounts.Directory, facts Facts) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				for _, a := range facts.Accounts {
					got, err := d.Account(t.Context(), a.ID)
					if err != nil || got.Name != a.Name {
						t.Errorf("%s: %v", a.Name, err)
					}
					_, _ = d.Lookup(t.Context(), a.Name)
					_, _ = d.IsAdmin(t.Context(), a.ID)
					_, _ = d.Groups(t.Context(), a.ID)
					_, _ = d.Grants(t.Context(), Acme, a.ID)
					_, _ = d.PasswordVersion(t.Context(), a.ID)
				}
				for _, s := range facts.Secrets {
					_, _ = d.Secret(t.Context(), s.Owner, s.ID)
				}
				_, _ = d.Visibility(t.Context(), "acme/open")
			}
		})
	}
	wg.Wait()
}

// testEndedContext checks that a Directory that fails does not return ErrUnknown, which means that an object does not
// exist. A Directory that answers from memory may ignore the context.
func testEndedContext(t *testing.T, d accounts.Directory, facts Facts) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, a := range facts.Accounts {
		_, err := d.Account(ctx, a.ID)
		require.False(t, errors.Is(err, accounts.ErrUnknown), "%s: %v", a.Name, err)
		if a.Removed == nil {
			_, err = d.Lookup(ctx, a.Name)
			require.False(t, errors.Is(err, accounts.ErrUnknown), "%s: %v", a.Name, err)
		}
	}
	for _, s := range facts.Secrets {
		_, err := d.Secret(ctx, s.Owner, s.ID)
		require.False(t, errors.Is(err, accounts.ErrUnknown), "%s: %v", s.ID, err)
	}
	for id, password := range facts.Passwords {
		_, err := d.CheckPassword(ctx, id, password)
		require.False(t, errors.Is(err, accounts.ErrUnknown), "%s: %v", id, err)
	}
}
