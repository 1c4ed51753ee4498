package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/storage/memory"
)

func TestSignInAtAProvider(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	b := s.browser(t)
	r := b.signIn().want(200)
	require.Equal(t, "page /repositories", r.body)
	who := b.whoami()
	require.Equal(t, "ann", who.Name)
	require.NotEmpty(t, who.Claims[accounts.AccountClaim])
	require.NotEmpty(t, who.Claims[session.Claim])
	acc, err := s.people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, "Ann", acc.FullName)
	require.Equal(t, "ann@example.com", acc.Email)
	require.Equal(t, b.s.URL+"/signin/oidc/company/callback", p.form.Get("redirect_uri"))

	// A further sign-in, from another browser, is the same account, whatever the name is now.
	p.set(func() { p.person["preferred_username"] = "boss" })
	other := s.browser(t)
	other.signIn().want(200)
	require.Equal(t, "ann", other.whoami().Name)
	require.Len(t, s.audits, 2)
	require.True(t, s.audits[1].Allowed)
	require.Equal(t, "ann", s.audits[1].Identity.Name)
}

// TestAnonymousVisitorsWriteNothing: an attempt costs no object in the storage.
func TestAnonymousVisitorsWriteNothing(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	b := s.browser(t).steps()
	b.signIn().want(303)
	b.do("POST", "/signin/device/company", nil).want(200)
	for info, err := range s.driver.List(t.Context(), "", nil) {
		require.NoError(t, err)
		require.Empty(t, info.Key)
	}
}

// TestSessionFixation: each sign-in makes a new session, and ends the one that the browser brought.
func TestSessionFixation(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	b := s.browser(t)
	b.signIn().want(200)
	first := b.cookie()
	b.signIn().want(200)
	require.NotEqual(t, first, b.cookie())
	require.Equal(t, "ann", b.whoami().Name)
	require.Empty(t, s.browser(t).whoami("Cookie: "+session.Cookie+"="+first).Name, "the old session has ended")

	// A value that an attacker has put into the browser is never used.
	mine := s.browser(t)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	planted := strings.Replace(first, first[20:24], "aaaa", 1)
	mine.Jar.SetCookies(u, []*http.Cookie{{Name: session.Cookie, Value: planted, Path: "/", Secure: true}})
	mine.signIn().want(200)
	require.NotEqual(t, planted, mine.cookie())
	require.Empty(t, s.browser(t).whoami("Cookie: "+session.Cookie+"="+planted).Name)
}

// TestOpenRedirect: after a sign-in, a browser goes to a local path only.
func TestOpenRedirect(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	s.user(t, "bob")
	b := s.browser(t).steps()
	for _, to := range []string{"//evil.example", "https://evil.example", "/\\evil.example", "\\/evil.example", "evil",
		"/\t/evil.example", "/\n/evil.example", "javascript:alert(1)", "/ /evil.example", "//", "/é",
		strings.Repeat("/a", 2000)} {
		query := "?return=" + url.QueryEscape(to)
		b.do("GET", "/signin/oidc/company"+query, nil, "Accept: application/json").fails(400, "INVALID")
		b.do("POST", "/signin/password", map[string]string{"name": "bob", "password": password, "return": to}).
			fails(400, "INVALID")
		b.do("POST", "/signin/password", url.Values{"name": {"bob"}, "password": {password}, "return": {to}}).want(400)
	}
	b.signIn()
	for _, to := range []string{"/", "/a", "/a?b=https://c", "/..//evil.example", "/a#b", "/a%2F%2Fb"} {
		r := b.do("POST", "/signin/password", url.Values{"name": {"bob"}, "password": {password}, "return": {to}}).want(303)
		require.Equal(t, to, r.header.Get("Location"))
		u, err := url.Parse(r.location)
		require.NoError(t, err)
		require.Equal(t, strings.TrimPrefix(s.URL, "https://"), u.Host)
	}
}

// TestLoginCSRF: nobody is signed in by a link or a form of another page: the state belongs to the
// browser that began.
func TestLoginCSRF(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	s.user(t, "eve")
	attacker, victim := s.browser(t).steps(), s.browser(t).steps()
	toProvider := attacker.signIn().want(303)
	back := attacker.do("GET", toProvider.location, nil).want(302).location
	r := victim.do("GET", back, nil, "Accept: application/json")
	r.fails(400, "UNKNOWN_ATTEMPT")
	require.Empty(t, victim.cookie())

	// Not with an attempt of the victim's own, either.
	victim.signIn().want(303)
	victim.do("GET", back, nil, "Accept: application/json").fails(400, "UNKNOWN_ATTEMPT")
	require.Empty(t, victim.cookie())
	require.Zero(t, p.count("/token"), "the code was not used")

	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
		"Origin: https://evil.example"} {
		victim.do("POST", "/signin/password", url.Values{"name": {"eve"}, "password": {password}}, header,
			"Accept: application/json").fails(403, "CROSS_ORIGIN")
		victim.do("POST", "/signin/logout", nil, header, "Accept: application/json").fails(403, "CROSS_ORIGIN")
		victim.do("POST", "/signin/oidc/company/link", nil, header, "Accept: application/json").fails(403, "CROSS_ORIGIN")
	}
	require.Empty(t, victim.cookie())
}

// TestWrongState: a callback without the state of the browser's attempt is refused before the code
// is used.
func TestWrongState(t *testing.T) {
	p, now := newIDP(t), time.Now()
	s := newSite(t, nil, p, nil)
	b := s.browser(t).steps()
	toProvider := b.signIn().want(303)
	back := b.do("GET", toProvider.location, nil).want(302).location
	u, err := url.Parse(back)
	require.NoError(t, err)
	for _, change := range []func(q url.Values){
		func(q url.Values) { q.Set("state", "x") },
		func(q url.Values) { q.Del("state") },
		func(q url.Values) { q.Set("state", q.Get("state")+"x") },
	} {
		q := u.Query()
		change(q)
		b.do("GET", u.Path+"?"+q.Encode(), nil, "Accept: application/json").fails(400, "UNKNOWN_ATTEMPT")
	}
	for range 32 { // some of these states belong to the same cookie
		q := u.Query()
		q.Set("state", rand.Text())
		b.do("GET", u.Path+"?"+q.Encode(), nil, "Accept: application/json").fails(400, "UNKNOWN_ATTEMPT")
	}
	b.do("GET", u.Path+"?"+u.RawQuery+"&state=x", nil, "Accept: application/json").fails(400, "INVALID")
	s.handler.SetClock(func() time.Time { return now.Add(11 * time.Minute) })
	b.do("GET", back, nil, "Accept: application/json").fails(400, "UNKNOWN_ATTEMPT")
	s.handler.SetClock(time.Now)
	require.Zero(t, p.count("/token"))
	b.do("GET", back, nil).want(303)
	require.Equal(t, "ann", b.whoami().Name)

	// The attempt is over. The browser has no cookie of it any more.
	b.do("GET", back, nil, "Accept: application/json").fails(400, "UNKNOWN_ATTEMPT")
}

// TestReplayedCode: a code works once, even with the cookie of the attempt.
func TestReplayedCode(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	b := s.browser(t).steps()
	toProvider := b.signIn().want(303)
	cookie, _, _ := strings.Cut(toProvider.header.Get("Set-Cookie"), ";")
	back := b.do("GET", toProvider.location, nil).want(302).location
	b.do("GET", back, nil).want(303)
	again := s.browser(t).steps()
	again.do("GET", back, nil, "Cookie: "+cookie, "Accept: application/json").fails(400, "WRONG_CODE")
	require.Empty(t, again.cookie())
}

// TestPKCE: a code that was stolen from the redirect is worthless without the verifier, which is
// sealed in the cookie.
func TestPKCE(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	b, thief := s.browser(t).steps(), s.browser(t).steps()
	stolen := b.do("GET", b.signIn().want(303).location, nil).want(302).location
	code, err := url.Parse(stolen)
	require.NoError(t, err)
	own, err := url.Parse(thief.do("GET", thief.signIn().want(303).location, nil).want(302).location)
	require.NoError(t, err)
	q := own.Query()
	q.Set("code", code.Query().Get("code"))
	thief.do("GET", own.Path+"?"+q.Encode(), nil, "Accept: application/json").fails(400, "WRONG_CODE")
	require.Empty(t, thief.cookie())
}

// TestSeveralTabs: two attempts of one browser do not disturb each other.
func TestSeveralTabs(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	b := s.browser(t).steps()
	var backs []string
	states := map[string]bool{}
	for len(states) < 2 {
		r := b.signIn().want(303)
		name, _, _ := strings.Cut(r.header.Get("Set-Cookie"), "=")
		if !states[name] {
			states[name] = true
			backs = append(backs, b.do("GET", r.location, nil).want(302).location)
			continue
		}
		backs = nil // the older attempt was replaced
		clear(states)
	}
	for _, back := range backs {
		b.do("GET", back, nil).want(303)
	}
}

// TestOIDCTokensThatAreRefused: tokens of another audience, issuer, nonce, time or algorithm.
func TestOIDCTokensThatAreRefused(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	with := func(method jwt.SigningMethod, key any, header map[string]any) func(jwt.MapClaims) string {
		return func(claims jwt.MapClaims) string {
			token := jwt.NewWithClaims(method, claims)
			token.Header["kid"] = "1"
			for k, v := range header {
				token.Header[k] = v
			}
			text, err := token.SignedString(key)
			require.NoError(t, err)
			return text
		}
	}
	set := func(name string, value any) func(map[string]any) {
		return func(c map[string]any) { c[name] = value }
	}
	for what, c := range map[string]struct {
		change func(map[string]any)
		sign   func(jwt.MapClaims) string
	}{
		"another audience":                 {change: set("aud", "another")},
		"no audience":                      {change: func(c map[string]any) { delete(c, "aud") }},
		"several audiences":                {change: set("aud", []string{clientID, "another"})},
		"another party":                    {change: set("azp", "another")},
		"another issuer":                   {change: set("iss", "https://other.example")},
		"another nonce":                    {change: set("nonce", "x")},
		"no nonce":                         {change: func(c map[string]any) { delete(c, "nonce") }},
		"no subject":                       {change: func(c map[string]any) { delete(c, "sub") }},
		"expired":                          {change: set("exp", time.Now().Add(-2*time.Minute).Unix())},
		"no expiry":                        {change: func(c map[string]any) { delete(c, "exp") }},
		"issued in the future":             {change: set("iat", time.Now().Add(2*time.Minute).Unix())},
		"not valid yet":                    {change: set("nbf", time.Now().Add(10*time.Minute).Unix())},
		"a wrong at_hash":                  {change: set("at_hash", "x")},
		"a logout token":                   {change: set("events", map[string]any{})},
		"alg none":                         {sign: with(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil)},
		"alg HS256 with the client secret": {sign: with(jwt.SigningMethodHS256, []byte(clientSecret), nil)},
		"another key of the same kid":      {sign: with(jwt.SigningMethodES256, stranger, nil)},
		"no token":                         {sign: func(jwt.MapClaims) string { return "" }},
		"no JWT":                           {sign: func(jwt.MapClaims) string { return "x.y.z" }},
	} {
		t.Run(what, func(t *testing.T) {
			p := newIDP(t)
			p.change, p.sign = c.change, c.sign
			s := newSite(t, nil, p, nil)
			b := s.browser(t)
			b.signIn().fails(403, "WRONG_TOKEN")
			require.Empty(t, b.cookie())
			_, err := s.people.Lookup(t.Context(), "ann")
			require.ErrorIs(t, err, accounts.ErrUnknown)
			require.False(t, s.audits[0].Allowed)
			require.Error(t, s.audits[0].Err)
		})
	}
	for what, change := range map[string]func(map[string]any){
		"a clock that is ahead":    set("iat", time.Now().Add(50*time.Second).Unix()),
		"a clock that is behind":   set("exp", time.Now().Add(-50*time.Second).Unix()),
		"the client as a party":    set("azp", clientID),
		"a list with the audience": set("aud", []string{clientID}),
	} {
		p := newIDP(t)
		p.change = change
		b := newSite(t, nil, p, nil).browser(t)
		b.signIn().want(200)
		require.Equal(t, "ann", b.whoami().Name, what)
	}
}

// TestTokenOfAnotherProvider: a provider cannot sign people of another provider in, nor by its code
// (mix-up).
func TestTokenOfAnotherProvider(t *testing.T) {
	p, evil := newIDP(t), newIDP(t)
	evil.key = p.key // even with the same key
	s := newSite(t, nil, p, func(_ *signin.Provider, o *signin.Options) {
		o.Providers = []signin.Provider{{Name: "evil", Issuer: evil.URL, ClientID: clientID, ClientSecret: clientSecret,
			Create: signin.Numbered}}
	})
	b := s.browser(t)
	b.signIn().want(200)
	ann := b.whoami().Claims[accounts.AccountClaim]

	// The same subject, name and e-mail address at another provider are another person.
	other := s.browser(t)
	other.do("GET", "/signin/oidc/evil", nil).want(200)
	require.Equal(t, "ann-2", other.whoami().Name)
	require.NotEqual(t, ann, other.whoami().Claims[accounts.AccountClaim])

	// An attempt at one provider does not end at the callback of another.
	steps := s.browser(t).steps()
	back := steps.do("GET", steps.signIn().want(303).location, nil).want(302).location
	back = strings.Replace(back, "/oidc/company/", "/oidc/evil/", 1)
	steps.do("GET", back, nil, "Accept: application/json").fails(400, "UNKNOWN_ATTEMPT")

	evil.set(func() { evil.change = func(c map[string]any) { c["iss"] = p.URL } })
	s.browser(t).do("GET", "/signin/oidc/evil", nil, "Accept: application/json").fails(403, "WRONG_TOKEN")
}

// TestIssuerOfTheResponse: the parameter iss (RFC 9207).
func TestIssuerOfTheResponse(t *testing.T) {
	for _, c := range []struct {
		iss    string
		states bool // whether the provider says that it sends iss
		ok     bool
	}{{"", false, true}, {"right", false, true}, {"right", true, true}, {"https://other.example", false, false},
		{"", true, false}} {
		p := newIDP(t)
		p.document = func(d map[string]any) { d["authorization_response_iss_parameter_supported"] = c.states }
		p.answer = func(_ url.Values, back url.Values) {
			switch c.iss {
			case "":
			case "right":
				back.Set("iss", p.URL)
			default:
				back.Set("iss", c.iss)
			}
		}
		b := newSite(t, nil, p, nil).browser(t)
		if c.ok {
			b.signIn().want(200)
		} else {
			b.signIn().fails(403, "WRONG_TOKEN")
			require.Zero(t, p.count("/token"))
		}
	}
}

// TestRefusedAtTheProvider: errors that the provider returns to the callback.
func TestRefusedAtTheProvider(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	for code, want := range map[string]struct {
		status int
		code   string
	}{"access_denied": {403, "ACCESS_DENIED"}, "login_required": {403, "ACCESS_DENIED"},
		"temporarily_unavailable": {503, "PROVIDER_UNAVAILABLE"}, "<script>": {403, "ACCESS_DENIED"}} {
		p.set(func() {
			p.answer = func(_ url.Values, back url.Values) { back.Set("error", code); back.Del("code") }
		})
		r := s.browser(t).signIn()
		r.fails(want.status, want.code)
		require.NotContains(t, r.body, "<script>")
	}
	require.Zero(t, p.count("/token"))
	p.set(func() { p.answer = func(_ url.Values, back url.Values) { back.Del("code") } })
	s.browser(t).signIn().fails(400, "INVALID")
}

// TestReplicas: a sign-in that begins at one replica ends at another one, with the shared key only.
func TestReplicas(t *testing.T) {
	p, d := newIDP(t), memory.New(nil)
	one := newSite(t, d, p, nil)
	two := newSite(t, d, p, func(_ *signin.Provider, o *signin.Options) { o.URL = one.URL + "/signin" })
	b := one.browser(t).steps()
	toProvider := b.signIn().want(303)
	cookie, _, _ := strings.Cut(toProvider.header.Get("Set-Cookie"), ";")
	back := b.do("GET", toProvider.location, nil).want(302).location
	other := two.browser(t).steps()
	other.do("GET", strings.Replace(back, one.URL, two.URL, 1), nil, "Cookie: "+cookie).want(303)
	require.Equal(t, "ann", other.whoami().Name)
}

// TestProviderDown: sessions go on, and a new sign-in gets a clear answer.
func TestProviderDown(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	b := s.browser(t)
	b.signIn().want(200)
	fresh := newSite(t, s.driver, p, nil)
	p.Close()
	require.Equal(t, "ann", b.whoami().Name)
	for _, site := range []*site{s, fresh} {
		r := site.browser(t)
		if site == fresh {
			got := r.signIn()
			got.fails(503, "PROVIDER_UNAVAILABLE")
			require.Equal(t, "5", got.header.Get("Retry-After"))
			require.Contains(t, site.errors(), "connection refused")
			r.do("POST", "/signin/device/company", nil).fails(503, "PROVIDER_UNAVAILABLE")
			continue
		}
		// This replica still knows the provider. The browser cannot reach it.
		r.steps().signIn().want(303)
	}
	b.do("POST", "/signin/logout", nil, "Accept: application/json").want(200)
	require.Empty(t, b.whoami().Name)
}

// TestProviderDownAtTheCallback: the token endpoint fails in ways that are not the user's fault.
func TestProviderDownAtTheCallback(t *testing.T) {
	p := newIDP(t)
	s := newSite(t, nil, p, nil)
	for _, answer := range []func(w http.ResponseWriter) bool{
		func(w http.ResponseWriter) bool { w.WriteHeader(502); return true },
		func(w http.ResponseWriter) bool {
			send(w, 401, map[string]string{"error": "invalid_client"})
			return true
		},
		func(w http.ResponseWriter) bool { w.WriteHeader(200); return true },
		func(w http.ResponseWriter) bool {
			http.Redirect(w, &http.Request{}, "https://evil.example", http.StatusTemporaryRedirect)
			return true
		},
	} {
		p.set(func() { p.token = answer })
		s.browser(t).signIn().fails(503, "PROVIDER_UNAVAILABLE")
	}
	require.Contains(t, s.errors(), "invalid_client")
	require.NotContains(t, s.errors(), clientSecret)
}

// TestDiscoveryDocumentThatIsRefused: endpoints must be https, and the issuer must be the same.
func TestDiscoveryDocumentThatIsRefused(t *testing.T) {
	for name, value := range map[string]any{"issuer": "https://other.example",
		"token_endpoint": "http://other.example/token", "authorization_endpoint": "javascript:alert(1)",
		"end_session_endpoint": "http://other.example/logout"} {
		p := newIDP(t)
		p.document = func(d map[string]any) { d[name] = value }
		newSite(t, nil, p, nil).browser(t).signIn().fails(503, "PROVIDER_UNAVAILABLE")
	}
}

// TestAttemptsAreLimited: one network cannot make the handler send requests to the provider without
// end.
func TestAttemptsAreLimited(t *testing.T) {
	p := newIDP(t)
	p.token = func(w http.ResponseWriter) bool {
		send(w, 400, map[string]string{"error": "invalid_grant"})
		return true
	}
	s := newSite(t, nil, p, nil)
	for range signin.MaxAttempts {
		s.browser(t).signIn().fails(400, "WRONG_CODE")
	}
	s.browser(t).signIn().fails(429, "TOO_MANY_REQUESTS")
	require.Equal(t, signin.MaxAttempts, p.count("/token"))
	for range signin.MaxAttempts { // command lines have attempts of their own
		s.browser(t).do("POST", "/signin/device/company", nil).want(200)
	}
	s.browser(t).do("POST", "/signin/device/company", nil).fails(429, "TOO_MANY_REQUESTS")
}

// TestDevicesTakeNoAttempts: starts on a command line, which need no login, do not lock out the browsers of a network.
func TestDevicesTakeNoAttempts(t *testing.T) {
	s := newSite(t, nil, newIDP(t), nil)
	for range signin.MaxAttempts {
		s.browser(t).do("POST", "/signin/device/company", nil).want(200)
	}
	s.browser(t).signIn().want(200)
}
