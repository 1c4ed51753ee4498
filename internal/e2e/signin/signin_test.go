package signin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/signin"
)

// TestCodeFlow: a browser signs in at a real provider, uses the API, and signs out at both.
func TestCodeFlow(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p, nil)
	b := s.browser(t)
	status, text, at := b.signIn()
	require.Equal(t, 200, status, text)
	require.Equal(t, s.URL+"/repositories", at)
	require.Equal(t, "ann", b.caller().Name)
	var list types.SessionList
	_, text, _ = b.do("GET", "/api/v1/user/sessions", nil)
	require.NoError(t, json.Unmarshal([]byte(text), &list))
	require.Len(t, list.Items, 1)
	require.Equal(t, "company", list.Items[0].Provider)
	status, _, _ = b.do("GET", "/v2/", nil)
	require.Equal(t, 401, status, "a session is not valid for pushes and pulls")

	status, text, at = b.do("POST", "/signin/logout", url.Values{})
	require.Equal(t, 200, status, text)
	require.True(t, strings.HasPrefix(at, s.URL+"/bye"), "the provider must send the browser back, not to %s", at)
	require.Empty(t, b.caller().Name)
}

// TestGroupsAreReplacedAtEachSignIn, at any replica.
func TestGroupsAreReplacedAtEachSignIn(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p, func(p *signin.Provider) {
		p.Teams = []signin.Mapping{{Group: "developers", Team: "acme/dev"}, {Group: "ops", Team: "acme/ops"},
			{Group: "root", Admin: true}}
	})
	boss, err := s.people.CreateUser(t.Context(), accounts.Actor{}, "boss", "", nil)
	require.NoError(t, err)
	require.NoError(t, s.people.AddAdmin(t.Context(), accounts.Actor{}, boss.ID))
	acme, err := s.people.CreateOrganisation(t.Context(), accounts.Actor{}, "acme", boss.ID, nil)
	require.NoError(t, err)
	for _, team := range []string{"dev", "ops"} {
		_, err = s.people.CreateTeam(t.Context(), accounts.Actor{}, acme.ID, team, nil)
		require.NoError(t, err)
	}
	b := s.browser(t)
	for _, c := range []struct {
		groups, want []string
		admin        bool
	}{
		{[]string{"developers"}, []string{"acme", "acme/dev"}, false},
		{[]string{"ops", "root"}, []string{"acme", "acme/ops"}, true},
		{nil, []string{"acme"}, false},
	} {
		p.set(func(ps *providerStorage) { ps.claims["ann-1"]["groups"] = c.groups })
		status, text, _ := b.signIn()
		require.Equal(t, 200, status, text)
		time.Sleep(2 * refresh)
		got := b.caller()
		require.Equal(t, c.want, got.Groups)
		require.Equal(t, c.admin, got.Admin)
	}
}

// TestClocks: the clock of the provider may differ by a minute.
func TestClocks(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p, nil)
	for skew, want := range map[time.Duration]int{50 * time.Second: 200, -50 * time.Second: 200, 90 * time.Second: 403} {
		p.set(func(ps *providerStorage) { ps.skew = skew })
		status, text, _ := s.browser(t).signIn()
		require.Equal(t, want, status, "%s: %s", skew, text)
	}
}

// TestKeyRotation: after the provider has replaced its key, tokens by the new one are accepted, and
// a token by the old one is not.
func TestKeyRotation(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p, nil)
	status, text, _ := s.browser(t).signIn()
	require.Equal(t, 200, status, text)
	old := p.logoutToken(t, map[string]any{"sub": "ann-1"})
	p.storage.rotate(t)
	s.only.Store(1)
	require.Eventually(t, func() bool { // the keys are read again at most once in ten seconds
		status, text, _ = s.browser(t).signIn()
		return status == 200
	}, 20*time.Second, time.Second, "%s", text)
	status, _, _ = s.browser(t).do("POST", "/signin/oidc/company/logout", url.Values{"logout_token": {old}})
	require.Equal(t, 400, status)
}

// TestDeviceFlow: a command line signs in with two replicas and without a secret of the client.
func TestDeviceFlow(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p, nil)
	cli := s.browser(t)
	begin := func() (begun types.DeviceStart) {
		status, text, _ := cli.do("POST", "/signin/device/company", nil)
		require.Equal(t, 200, status, text)
		require.NoError(t, json.Unmarshal([]byte(text), &begun))
		return begun
	}
	poll := func(begun types.DeviceStart) (int, string) {
		status, text, _ := cli.do("POST", "/signin/device/company/poll", types.DevicePoll{Handle: begun.Handle})
		return status, text
	}
	begun := begin()
	require.Equal(t, p.URL+"/device-page", begun.VerificationURI)
	status, text := poll(begun)
	require.Equal(t, 400, status)
	require.Contains(t, text, "AUTHORIZATION_PENDING")
	p.confirm(t, begun.UserCode, "ann")
	time.Sleep(time.Duration(begun.Interval) * time.Second)
	status, text = poll(begun)
	require.Equal(t, 200, status, text)
	var in types.SignedIn
	require.NoError(t, json.Unmarshal([]byte(text), &in))
	require.Equal(t, "ann", cli.caller("Authorization: Bearer "+in.Session).Name)

	denied := begin()
	require.NoError(t, p.storage.DenyDeviceAuthorization(t.Context(), denied.UserCode))
	status, text = poll(denied)
	require.Equal(t, 403, status)
	require.Contains(t, text, "ACCESS_DENIED")
}

// TestBackChannelLogoutAtTwoReplicas: a logout that one replica is told ends the sessions at the
// other one.
func TestBackChannelLogoutAtTwoReplicas(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p, nil)
	ann, bob := s.browser(t), s.browser(t)
	ann.signIn()
	p.set(func(ps *providerStorage) { ps.user = "bob" })
	bob.signIn()
	for n := range int64(2) {
		s.only.Store(n + 1)
		require.Equal(t, "ann", ann.caller().Name)
		require.Equal(t, "bob", bob.caller().Name)
	}
	s.only.Store(1)
	forged := p.logoutToken(t, map[string]any{"aud": "another", "sub": "ann-1"})
	status, _, _ := ann.do("POST", "/signin/oidc/company/logout", url.Values{"logout_token": {forged}})
	require.Equal(t, 400, status)
	require.Equal(t, "ann", ann.caller().Name)

	token := p.logoutToken(t, map[string]any{"sub": "ann-1", "sid": "browser-1"})
	status, text, _ := s.browser(t).do("POST", "/signin/oidc/company/logout", url.Values{"logout_token": {token}})
	require.Equal(t, 200, status, text)
	require.Empty(t, ann.caller().Name)
	s.only.Store(2)
	require.Eventually(t, func() bool { return ann.caller().Name == "" }, 5*time.Second, refresh)
	require.Equal(t, "bob", bob.caller().Name)

	status, _, _ = s.browser(t).do("POST", "/signin/oidc/company/logout",
		url.Values{"logout_token": {p.logoutToken(t, map[string]any{"sub": "bob-1"})}})
	require.Equal(t, 200, status)
	s.only.Store(1)
	require.Eventually(t, func() bool { return bob.caller().Name == "" }, 5*time.Second, refresh)
}

// TestProviderDown: sessions go on until their end, a new sign-in gets a clear answer, and works
// when the provider is back.
func TestProviderDown(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p, nil)
	b := s.browser(t)
	s.only.Store(1)
	status, text, _ := b.signIn()
	require.Equal(t, 200, status, text)
	p.stop()
	for n := range int64(2) {
		s.only.Store(n + 1)
		require.Equal(t, "ann", b.caller().Name)
	}
	// Replica 2 has never reached the provider.
	status, text, _ = s.browser(t).signIn()
	require.Equal(t, 503, status)
	require.Contains(t, text, "the provider cannot be reached")
	p.start(t)
	require.Eventually(t, func() bool {
		status, text, _ = s.browser(t).signIn()
		return status == 200
	}, 15*time.Second, 500*time.Millisecond, "%s", text)
}

// TestRefusedAtARealProvider: a stolen code, a replayed callback, and another redirect URI.
func TestRefusedAtARealProvider(t *testing.T) {
	p := newProvider(t)
	s := newSite(t, p, nil)
	b := s.browser(t)
	var callback string
	b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.Contains(r.URL.Path, "/callback") && strings.HasPrefix(r.URL.String(), s.URL) && callback == "" {
			callback = r.URL.String()
			return http.ErrUseLastResponse
		}
		return nil
	}
	b.signIn()
	require.NotEmpty(t, callback)
	thief := s.browser(t)
	status, _, _ := thief.do("GET", callback, nil)
	require.Equal(t, 400, status)
	u, err := url.Parse(callback)
	require.NoError(t, err)
	thief.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), s.URL) && strings.Contains(r.URL.Path, "/callback") {
			q := r.URL.Query()
			q.Set("code", u.Query().Get("code"))
			r.URL.RawQuery = q.Encode()
		}
		return nil
	}
	status, text, _ := thief.signIn()
	require.Equal(t, 400, status, text)
	require.Contains(t, text, "the provider rejects the code")
	require.Empty(t, thief.caller().Name)

	p.set(func(ps *providerStorage) { ps.redirects[0] = "https://registry.example/signin/oidc/company/callback" })
	status, _, at := s.browser(t).signIn()
	require.Equal(t, 400, status)
	require.True(t, strings.HasPrefix(at, p.URL), "the provider does not send the browser to an unknown URI: %s", at)
}
