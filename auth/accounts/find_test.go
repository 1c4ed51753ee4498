package accounts_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// TestFind: Find finds what another process has written, at once, and nothing else.
func TestFind(t *testing.T) {
	ctx := t.Context()
	d := memory.New(nil)
	here, there := newAccounts(t, d, nil), newAccounts(t, d, nil)
	for _, name := range []string{"ann", "ann+deploy"} {
		_, err := here.Lookup(ctx, name)
		require.ErrorIs(t, err, accounts.ErrUnknown) // remembered
	}
	ann := newUser(t, there, "ann")
	robot, err := there.CreateRobot(ctx, accounts.Actor{}, ann.ID, "deploy", nil)
	require.NoError(t, err)
	found := func(name string, id accounts.ID) {
		t.Helper()
		acc, err := here.Find(ctx, name)
		require.NoError(t, err)
		require.Equal(t, id, acc.ID)
	}
	found("ann", ann.ID)
	found("ann+deploy", robot.ID)
	_, err = there.Rename(ctx, accounts.Actor{}, ann.ID, "anna")
	require.NoError(t, err)
	found("anna", ann.ID)
	found("ann", ann.ID)
	found("ann+deploy", robot.ID)
	acc, err := here.Find(ctx, "anna+deploy")
	require.NoError(t, err)
	require.Equal(t, "anna+deploy", acc.Name)
	require.NoError(t, there.Remove(ctx, accounts.Actor{}, robot.ID))
	for _, name := range []string{"anna+deploy", "a-nna", "bob", "", "+", "ann+", "+deploy", "ann+deploy+x", "../x",
		"Ann"} {
		_, err := here.Find(ctx, name)
		require.ErrorIs(t, err, accounts.ErrUnknown, name)
	}
	require.NoError(t, there.Remove(ctx, accounts.Actor{}, ann.ID))
	_, err = here.Find(ctx, "anna")
	require.ErrorIs(t, err, accounts.ErrUnknown)
}

// TestListPrefix compares prefixes with a filter of the whole list, for names of letters that look alike together.
func TestListPrefix(t *testing.T) {
	const letters = "amnrvw0o1l-"
	a := newAccounts(t, memory.New(nil), nil)
	text := func(most int) string {
		b := make([]byte, rand.IntN(most)+1)
		for i := range b {
			b[i] = letters[rand.IntN(len(letters))]
		}
		return string(b)
	}
	for range 500 {
		_, _ = a.CreateUser(t.Context(), forced, text(6), "", nil) // the name may be taken or no name
	}
	all := names(t, a, "", 0)
	require.Greater(t, len(all), 50)
	same := strings.NewReplacer("-", "", "0", "o", "1", "l")
	prefixes := []string{"", "m", "r", "v", "w", "rn", "vv", "vvv", "vw", "A", "é", "a/", "-", "..",
		strings.Repeat("v", 60)}
	for range 300 {
		prefixes = append(prefixes, text(4))
	}
	for _, p := range prefixes {
		want := slices.DeleteFunc(slices.Clone(all), func(name string) bool {
			return !strings.HasPrefix(same.Replace(name), same.Replace(p)) || p != "" && same.Replace(p) == ""
		})
		after := ""
		var got []string
		for { // pages of two
			n := 0
			for acc, err := range a.ListPrefix(t.Context(), p, after) {
				require.NoError(t, err)
				got, after = append(got, acc.Name), acc.Name
				if n++; n == 2 {
					break
				}
			}
			if n < 2 {
				break
			}
		}
		require.ElementsMatch(t, want, got, p)
	}
}

// TestSignUps: the number of calls from one network is limited, and other networks are not affected.
func TestSignUps(t *testing.T) {
	a := newAccounts(t, memory.New(nil), nil)
	_, err := accounts.NewSignUps(nil, nil)
	require.Error(t, err)
	_, err = accounts.NewSignUps(a, &accounts.SignUpOptions{Attempts: -1})
	require.Error(t, err)
	s, err := accounts.NewSignUps(a, &accounts.SignUpOptions{
		Attempts: 2, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	require.NoError(t, err)
	from := func(address, forwarded string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
		r.RemoteAddr = address
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		return r
	}
	acc, err := s.SignUp(from("192.0.2.1:1000", ""), "ann", password, nil)
	require.NoError(t, err)
	require.Equal(t, accounts.User, acc.Kind)
	_, err = s.SignUp(from("192.0.2.1:1001", ""), "ann", password+" 2", nil)
	require.ErrorIs(t, err, accounts.ErrTaken)
	var limit *auth.LimitError
	for _, r := range []*http.Request{from("192.0.2.1:1002", ""), from("10.1.1.1:1", "192.0.2.1"),
		from("192.0.2.1:3", "192.0.2.9")} {
		_, err = s.SignUp(r, "bob", password, nil)
		require.ErrorAs(t, err, &limit)
		require.Positive(t, limit.RetryAfter)
	}
	_, err = a.Find(t.Context(), "bob")
	require.ErrorIs(t, err, accounts.ErrUnknown)
	_, err = s.SignUp(from("10.1.1.1:1", "192.0.2.2"), "bob", password, nil)
	require.NoError(t, err)
}
