package signin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func TestMethods(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	var list types.SignInMethods
	s.browser(t).do("GET", "/signin/", nil).want(200).into(&list)
	require.Equal(t, types.SignInMethods{Password: true,
		Providers: []types.SignInProvider{{Name: "company", Title: "Company"}}}, list)
	for _, path := range []string{"/signin/x", "/signin/oidc/x", "/signin/oidc/x/callback", "/signin/oidc/"} {
		s.browser(t).do("GET", path, nil, "Accept: application/json").fails(404, "NOT_FOUND")
	}
	s.browser(t).do("GET", "/signin/password", nil, "Accept: application/json").fails(404, "NOT_FOUND")
	for _, path := range []string{"/signin//evil.example", "/signin/../evil", "/signin%2Fevil"} { // none is redirected
		w := httptest.NewRecorder()
		http.StripPrefix("/signin", s.handler).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, 404, w.Code, path)
	}
	r := s.browser(t).do("GET", "/signin/x", nil).want(404)
	require.Equal(t, "text/plain; charset=utf-8", r.header.Get("Content-Type"))
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
}

func TestPassword(t *testing.T) {
	s := newSite(t, nil, nil, nil)
	ann := s.user(t, "ann")
	b := s.browser(t)

	// A form of a page.
	r := b.do("POST", "/signin/password", url.Values{"name": {"ann"}, "password": {password}, "return": {"/me"}}).want(200)
	require.Equal(t, "page /me", r.body)
	require.Equal(t, "ann", b.whoami().Name)
	for _, attribute := range []string{"Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=604800"} {
		set := s.browser(t).steps().do("POST", "/signin/password", url.Values{"name": {"ann"}, "password": {password}}).
			want(303).header.Get("Set-Cookie")
		require.Contains(t, strings.Split(set, "; "), attribute)
		require.True(t, strings.HasPrefix(set, "__Host-registry-session=rks_"))
		require.NotContains(t, set, "Domain")
	}

	// A program in a page, and a command line.
	var in types.SignedIn
	b = s.browser(t)
	b.do("POST", "/signin/password", types.PasswordSignIn{Name: "ann", Password: password}).want(200).into(&in)
	require.Equal(t, "ann", in.Name)
	require.Equal(t, "/", in.Return)
	require.Empty(t, in.Session)
	require.Equal(t, "ann", b.whoami().Name)
	cli := s.browser(t)
	cli.do("POST", "/signin/password", types.PasswordSignIn{Name: "ann", Password: password, CommandLine: true}).
		want(200).into(&in)
	require.Len(t, in.Session, 79)
	require.Empty(t, cli.cookie())
	require.Equal(t, "ann", cli.whoami("Authorization: Bearer "+in.Session).Name)

	// Refusals.
	secret, err := s.people.CreateSecret(t.Context(), accounts.Actor{}, ann, "ci", nil)
	require.NoError(t, err)
	for name, pass := range map[string]string{"ann": "wrong", "nobody": password, "": password, "a:b": password,
		"ann\n": password} {
		b.do("POST", "/signin/password", types.PasswordSignIn{Name: name, Password: pass}).fails(403, "WRONG_PASSWORD")
	}
	b.do("POST", "/signin/password", types.PasswordSignIn{Name: "ann", Password: secret.Value.Value()}).
		fails(403, "WRONG_PASSWORD")
	b.do("POST", "/signin/password", types.PasswordSignIn{Name: "ann", Password: in.Session}).fails(403, "WRONG_PASSWORD")
	for _, body := range []string{``, `{}x`, `{"name":"ann","name":"bob"}`, `{"admin":true}`, `[]`,
		`{"name":"` + strings.Repeat("a", 1<<17) + `"}`} {
		b.do("POST", "/signin/password", body).fails(400, "INVALID")
	}
	b.do("POST", "/signin/password", url.Values{"name": {"ann", "bob"}, "password": {password}}).want(400)
	b.do("POST", "/signin/password", nil).want(400)
	_, err = s.people.Disable(t.Context(), accounts.Actor{}, ann)
	require.NoError(t, err)
	b.do("POST", "/signin/password", types.PasswordSignIn{Name: "ann", Password: password}).fails(403, "WRONG_PASSWORD")
}

// TestPasswordGuessing: the limits of the Authenticator apply to the sign-in.
func TestPasswordGuessing(t *testing.T) {
	s := newSite(t, nil, nil, nil)
	s.user(t, "ann")
	b := s.browser(t)
	for range failures {
		b.do("POST", "/signin/password", types.PasswordSignIn{Name: "ann", Password: "wrong"}).fails(403, "WRONG_PASSWORD")
	}
	r := b.do("POST", "/signin/password", types.PasswordSignIn{Name: "ann", Password: password})
	r.fails(429, "TOO_MANY_REQUESTS")
	require.NotEmpty(t, r.header.Get("Retry-After"))
	require.Empty(t, b.cookie())
}

func TestNoPasswords(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(_ *signin.Provider, o *signin.Options) { o.Passwords = nil })
	s.user(t, "ann")
	s.browser(t).do("POST", "/signin/password", types.PasswordSignIn{Name: "ann", Password: password}).
		fails(404, "NOT_FOUND")
}

func TestDevice(t *testing.T) {
	p := newIDP(t)
	p.pending = 1
	s := newSite(t, nil, p, nil)
	cli := s.browser(t)
	var begun types.DeviceStart
	cli.do("POST", "/signin/device/company", nil).want(200).into(&begun)
	require.Equal(t, "ABCD-EFGH", begun.UserCode)
	require.Equal(t, p.URL+"/go", begun.VerificationURI)
	require.Equal(t, p.URL+"/go?c=ABCD-EFGH", begun.VerificationURIComplete)
	require.Equal(t, 1, begun.Interval)
	require.NotContains(t, begun.Handle, "device")

	// Another replica without the state of the first one continues.
	other := newSite(t, s.driver, p, nil).browser(t)
	poll := types.DevicePoll{Handle: begun.Handle}
	cli.do("POST", "/signin/device/company/poll", poll).fails(400, "AUTHORIZATION_PENDING")
	var in types.SignedIn
	other.do("POST", "/signin/device/company/poll", poll).want(200).into(&in)
	require.Equal(t, "ann", in.Name)
	require.Empty(t, in.Return)
	require.Empty(t, other.cookie())
	require.Equal(t, "ann", cli.whoami("Authorization: Bearer "+in.Session).Name)
	require.Equal(t, "the device", p.form.Get("device_code"))

	for _, handle := range []string{"", "x", begun.Handle + "x", begun.Handle[:len(begun.Handle)-1]} {
		cli.do("POST", "/signin/device/company/poll", types.DevicePoll{Handle: handle}).fails(400, "INVALID")
	}
	cli.do("POST", "/signin/device/company/poll", url.Values{"handle": {begun.Handle}}).fails(400, "INVALID")

	for code, want := range map[string]string{"slow_down": "SLOW_DOWN", "expired_token": "EXPIRED",
		"access_denied": "ACCESS_DENIED"} {
		p.set(func() {
			p.token = func(w http.ResponseWriter) bool { send(w, 400, map[string]string{"error": code}); return true }
		})
		r := cli.do("POST", "/signin/device/company/poll", poll)
		var problem types.Problem
		r.into(&problem)
		require.Equal(t, want, problem.Code)
	}
}

// TestDeviceHandle: a handle of one provider or of an attempt is not one of another.
func TestDeviceHandle(t *testing.T) {
	p, other := newIDP(t), newIDP(t)
	s := newSite(t, nil, p, func(_ *signin.Provider, o *signin.Options) {
		o.Providers = []signin.Provider{{Name: "other", Issuer: other.URL, ClientID: clientID}}
	})
	b := s.browser(t).steps()
	var begun types.DeviceStart
	b.do("POST", "/signin/device/company", nil).want(200).into(&begun)
	b.do("POST", "/signin/device/other/poll", types.DevicePoll{Handle: begun.Handle}).fails(400, "INVALID")
	cookie := b.signIn().header.Get("Set-Cookie")
	_, sealed, _ := strings.Cut(cookie, "=")
	sealed, _, _ = strings.Cut(sealed, ";")
	b.do("POST", "/signin/device/company/poll", types.DevicePoll{Handle: sealed}).fails(400, "INVALID")
	require.Zero(t, p.count("/token")+other.count("/token"))
	p.set(func() { p.document = func(d map[string]any) { delete(d, "device_authorization_endpoint") } })
	newSite(t, nil, p, nil).browser(t).do("POST", "/signin/device/company", nil).fails(400, "UNSUPPORTED")
}

// TestDeviceSlowDown: a client that polls too often does not make the handler do the same.
func TestDeviceSlowDown(t *testing.T) {
	p := newIDP(t)
	p.pending = 100
	s := newSite(t, nil, p, nil)
	var begun types.DeviceStart
	b := s.browser(t)
	b.do("POST", "/signin/device/company", nil).want(200).into(&begun)
	poll := types.DevicePoll{Handle: begun.Handle}
	b.do("POST", "/signin/device/company/poll", poll).fails(400, "AUTHORIZATION_PENDING")
	p.set(func() {
		p.token = func(w http.ResponseWriter) bool { send(w, 400, map[string]string{"error": "slow_down"}); return true }
	})
	b.do("POST", "/signin/device/company/poll", poll).fails(400, "SLOW_DOWN")
}

func TestLogout(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(p *signin.Provider, _ *signin.Options) {
		p.PostLogoutURL = "https://registry.example/bye"
	})
	b := s.browser(t).steps()
	b.do("GET", b.do("GET", b.signIn().location, nil).location, nil).want(303)
	value := b.cookie()
	require.Equal(t, "ann", b.whoami().Name)
	var out types.SignedOut
	b.do("POST", "/signin/logout", nil, "Accept: application/json").want(200).into(&out)
	require.Empty(t, b.whoami().Name)
	require.Empty(t, b.cookie())
	require.Empty(t, s.browser(t).whoami("Cookie: "+session.Cookie+"="+value).Name, "the value is dead")
	u, err := url.Parse(out.Redirect)
	require.NoError(t, err)
	require.Equal(t, "/logout", u.Path)
	require.Equal(t, clientID, u.Query().Get("client_id"))
	require.Equal(t, "https://registry.example/bye", u.Query().Get("post_logout_redirect_uri"))
	require.Equal(t, 2, strings.Count(u.Query().Get("id_token_hint"), "."))

	// A form goes to the provider, or home after a sign-in by password.
	b.do("GET", b.do("GET", b.signIn().location, nil).location, nil).want(303)
	require.True(t, strings.HasPrefix(b.do("POST", "/signin/logout", url.Values{}).want(200).location, p.URL+"/logout?"))
	s.user(t, "bob")
	b.do("POST", "/signin/password", url.Values{"name": {"bob"}, "password": {password}}).want(303)
	require.Equal(t, s.URL+"/", b.do("POST", "/signin/logout", url.Values{}).want(303).location)
	b.do("POST", "/signin/logout", url.Values{}).want(303) // again
	require.Equal(t, s.URL+"/bye?x=1",
		b.do("POST", "/signin/logout", url.Values{"return": {"/bye?x=1"}}).want(303).location)
	b.do("POST", "/signin/logout", url.Values{"return": {"//evil.example"}}).want(400)

	var in types.SignedIn
	b.do("POST", "/signin/password", types.PasswordSignIn{Name: "bob", Password: password, CommandLine: true}).into(&in)
	bearer := "Authorization: Bearer " + in.Session
	for range 2 {
		b.do("POST", "/signin/logout", nil, bearer, "Accept: application/json").want(200)
		require.Empty(t, b.whoami(bearer).Name)
	}
	// The ID token is sealed where it is stored.
	for info, err := range s.driver.List(t.Context(), "g/s/", nil) {
		require.NoError(t, err)
		require.Empty(t, info.Key)
	}
}

// TestBackChannelLogout ends the sessions of a sid or of a person, at all replicas.
func TestBackChannelLogout(t *testing.T) {
	p, d := newIDP(t), memory.New(nil)
	one := newSite(t, d, p, nil)
	two := newSite(t, d, p, nil)
	ann, again, bob := one.browser(t), one.browser(t), one.browser(t)
	ann.signIn().want(200)
	p.set(func() { p.person["sid"] = "session-2" })
	again.signIn().want(200)
	p.set(func() { p.person = map[string]any{"sub": "bob-1", "preferred_username": "bob", "sid": "session-3"} })
	bob.signIn().want(200)
	post := func(s *site, token string) *result {
		return s.browser(t).do("POST", "/signin/oidc/company/logout", url.Values{"logout_token": {token}},
			"Sec-Fetch-Site: cross-site")
	}
	for what, change := range map[string]func(c map[string]any){
		"another audience": func(c map[string]any) { c["aud"] = "another" },
		"another issuer":   func(c map[string]any) { c["iss"] = "https://other.example" },
		"no event":         func(c map[string]any) { c["events"] = map[string]any{"x": map[string]any{}} },
		"no object":        func(c map[string]any) { c["events"] = map[string]any{signin.LogoutEvent: nil} },
		"a nonce":          func(c map[string]any) { c["nonce"] = "x" },
		"no jti":           func(c map[string]any) { delete(c, "jti") },
		"no iat":           func(c map[string]any) { delete(c, "iat") },
		"old":              func(c map[string]any) { c["iat"] = c["iat"].(int64) - 700 },
		"in the future":    func(c map[string]any) { c["iat"] = c["iat"].(int64) + 120 },
		"expired":          func(c map[string]any) { c["exp"] = c["iat"].(int64) - 120 },
		"nobody":           func(c map[string]any) { delete(c, "sub") },
	} {
		r := post(two, p.logoutToken(func(c map[string]any) { change(c) }))
		require.Equal(t, 400, r.status, what)
	}
	post(two, p.idToken("")).fails(400, "INVALID")
	post(two, "").fails(400, "INVALID")
	require.Equal(t, "ann", ann.whoami().Name)

	// By sid: only this session.
	r := post(two, p.logoutToken(func(c map[string]any) { c["sid"] = "session-1" })).want(200)
	require.Equal(t, "no-store", r.header.Get("Cache-Control"))
	value := func(b *browser) string { return "Cookie: " + session.Cookie + "=" + b.cookie() }
	require.Empty(t, two.browser(t).whoami(value(ann)).Name)
	require.Equal(t, "ann", two.browser(t).whoami(value(again)).Name)
	time.Sleep(2 * refresh)
	require.Empty(t, ann.whoami().Name)
	require.Equal(t, "ann", again.whoami().Name)

	// A sid of somebody else with a foreign subject ends nothing.
	post(two, p.logoutToken(func(c map[string]any) { c["sid"] = "session-3" })).want(200)
	require.Equal(t, "bob", two.browser(t).whoami(value(bob)).Name)

	// By person: all. A repetition does not end a later session.
	old := p.logoutToken(func(c map[string]any) { c["iat"] = c["iat"].(int64) - 300 })
	post(two, old).want(200)
	require.Equal(t, "ann", two.browser(t).whoami(value(again)).Name, "the session began after the logout")
	post(two, p.logoutToken(nil)).want(200)
	time.Sleep(2 * refresh)
	require.Empty(t, again.whoami().Name)
	require.Equal(t, "bob", bob.whoami().Name)
	post(two, p.logoutToken(func(c map[string]any) { c["sub"] = "nobody" })).want(200)
}

func TestNewRefuses(t *testing.T) {
	s := newSite(t, nil, nil, nil)
	key := make([]byte, 32)
	good := signin.Provider{Name: "company", Issuer: "https://id.example", ClientID: "x"}
	with := func(change func(p *signin.Provider)) *signin.Options {
		p := good
		change(&p)
		return &signin.Options{URL: "https://registry.example/signin", Providers: []signin.Provider{p}}
	}
	for what, opts := range map[string]*signin.Options{
		"no URL":               {Providers: []signin.Provider{good}},
		"a URL with a slash":   {URL: "https://registry.example/"},
		"a URL with a query":   {URL: "https://registry.example/?x"},
		"plain HTTP":           {URL: "http://registry.example"},
		"a foreign home":       {Home: "//evil.example"},
		"two of one name":      {URL: "https://registry.example", Providers: []signin.Provider{good, good}},
		"no name":              with(func(p *signin.Provider) { p.Name = "" }),
		"a name with a slash":  with(func(p *signin.Provider) { p.Name = "a/b" }),
		"no client":            with(func(p *signin.Provider) { p.ClientID = "" }),
		"no issuer":            with(func(p *signin.Provider) { p.Issuer = "" }),
		"issuer with a query":  with(func(p *signin.Provider) { p.Issuer = "https://id.example?x" }),
		"a plain issuer":       with(func(p *signin.Provider) { p.Issuer = "http://id.example" }),
		"alg none":             with(func(p *signin.Provider) { p.Algorithms = []string{"none"} }),
		"alg HS256":            with(func(p *signin.Provider) { p.Algorithms = []string{"HS256"} }),
		"another creation":     with(func(p *signin.Provider) { p.Create = "always" }),
		"a long leeway":        with(func(p *signin.Provider) { p.Leeway = 1 << 60 }),
		"a set state":          with(func(p *signin.Provider) { p.Parameters = map[string]string{"state": "x"} }),
		"a mapping of nobody":  with(func(p *signin.Provider) { p.Teams = []signin.Mapping{{Team: "acme"}} }),
		"a mapping to nothing": with(func(p *signin.Provider) { p.Teams = []signin.Mapping{{Group: "x"}} }),
		"a mapping to both": with(func(p *signin.Provider) {
			p.Teams = []signin.Mapping{{Group: "x", Team: "acme", Admin: true}}
		}),
		"a wrong team": with(func(p *signin.Provider) { p.Teams = []signin.Mapping{{Group: "x", Team: "acme/dev/x"}} }),
		"everybody at Google": with(func(p *signin.Provider) {
			p.Issuer, p.Create = "https://accounts.google.com", signin.ByName
		}),
		"an empty requirement": with(func(p *signin.Provider) { p.Require = map[string][]string{"hd": nil} }),
		"a plain logout URL":   with(func(p *signin.Provider) { p.PostLogoutURL = "http://registry.example" }),
	} {
		_, err := signin.New(s.people, s.sessions, key, opts)
		require.Error(t, err, what)
	}
	_, err := signin.New(s.people, s.sessions, key[:31], nil)
	require.Error(t, err)
	_, err = signin.New(nil, s.sessions, key, nil)
	require.Error(t, err)
	_, err = signin.New(s.people, nil, key, nil)
	require.Error(t, err)
	_, err = signin.New(s.people, s.sessions, key, with(func(*signin.Provider) {}))
	require.NoError(t, err)
}

// TestFail: a host writes the errors for browsers itself.
func TestFail(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, func(_ *signin.Provider, o *signin.Options) {
		o.Fail = func(w http.ResponseWriter, _ *http.Request, f signin.Failure) {
			http.Error(w, "<p>"+f.Code, f.Status)
		}
	})
	require.Equal(t, "<p>UNKNOWN_ATTEMPT\n", s.browser(t).do("GET", "/signin/oidc/company/callback", nil).want(400).body)
}

// TestStorageDown: a sign-in gets 503 and no cookie, and works later.
func TestStorageDown(t *testing.T) {
	var down atomic.Bool
	d := drivertest.NewFaulty(memory.New(nil), &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			if down.Load() {
				return driver.ErrUnavailable
			}
			return nil
		}})
	p := newIDP(t)
	s := newSite(t, d, p, nil)
	s.user(t, "bob")
	down.Store(true)
	b := s.browser(t)
	b.do("POST", "/signin/password", types.PasswordSignIn{Name: "bob", Password: password}).fails(503, "UNAVAILABLE")
	b.signIn().fails(503, "UNAVAILABLE")
	require.Empty(t, b.cookie())
	down.Store(false)
	b.signIn().want(200)
	down.Store(true)
	b.do("POST", "/signin/logout", nil, "Accept: application/json").fails(503, "UNAVAILABLE")
	require.NotEmpty(t, b.cookie(), "the session is valid still")
	down.Store(false)
	require.Equal(t, "ann", b.whoami().Name)
}

// deadlines is a ResponseWriter that records its deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.read = t
	return nil
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.write = t
	return nil
}

// TestStalledClients: a client that does not send its body, or does not read the response, cannot keep its connection.
func TestStalledClients(t *testing.T) {
	s := newSite(t, nil, nil, nil)
	for _, path := range []string{"/password", "/logout", "/"} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("x")))
		require.False(t, w.read.IsZero(), path)
		require.False(t, w.write.IsZero(), path)
	}
}
