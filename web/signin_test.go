package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/web"
)

// TestSignIn: a person signs in by the form, comes back to the page, and signs out.
func TestSignIn(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	b := s.browser(t)
	r := b.get("/ui/profile?x=1")
	require.Equal(t, "/ui/sign-in", r.Request.URL.Path, "anonymous people sign in first")
	require.Equal(t, "/ui/profile?x=1", r.doc.Find("form.fields input[name=return]").AttrOr("value", ""))
	r = b.submit(r, "form.fields", "name", "ann", "password", password)
	require.Equal(t, 200, r.StatusCode)
	require.Equal(t, "/ui/profile?x=1", r.Request.URL.RequestURI())
	require.Equal(t, "ann", b.caller())
	require.Equal(t, "/ui/", b.get("/ui/sign-in").Request.URL.Path, "somebody who is signed in goes on")

	value := b.cookie()
	r = b.submit(b.get("/ui/sign-out"), "main form")
	require.Equal(t, "/ui/sign-out", r.Request.URL.Path)
	require.Contains(t, r.text, "You are signed out")
	require.Empty(t, b.cookie())
	require.Empty(t, b.caller())
	r = s.browser(t).do(http.MethodGet, "/ui/profile", nil, "Cookie", session.Cookie+"="+value)
	require.Equal(t, "/ui/sign-in", r.Request.URL.Path, "the value of the session is dead")
	require.Contains(t, b.get("/ui/sign-out").text, "You are signed out", "again")
}

// TestSignInFails: the form is shown again with the name and without the password, and says what is wrong.
func TestSignInFails(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	bob, err := s.people.Find(t.Context(), "bob")
	require.NoError(t, err)
	_, err = s.people.Disable(t.Context(), accounts.Actor{}, bob.ID)
	require.NoError(t, err)
	for _, row := range []struct{ name, password, text string }{
		{"ann", "not the password", "The name or the password is wrong."},
		{"nobody", password, "The name or the password is wrong."},
		{"bob", password, "The name or the password is wrong."},
		{`"><b>eve`, "not the password", "The name or the password is wrong."},
		{"ann:x", "not the password", "The name or the password is wrong."},
	} {
		b := s.browser(t)
		r := b.submit(b.get("/ui/sign-in?return=/ui/profile"), "form.fields", "name", row.name, "password", row.password)
		require.Equal(t, 403, r.StatusCode, row.name)
		require.Equal(t, row.text, r.doc.Find("[role=alert]").Text(), row.name)
		require.Equal(t, row.name, r.doc.Find("#sign-in-name").AttrOr("value", ""))
		require.Equal(t, "/ui/profile", r.doc.Find("form.fields input[name=return]").AttrOr("value", ""))
		require.Equal(t, "sign-in-error", r.doc.Find("#sign-in-password").AttrOr("aria-describedby", ""))
		require.NotContains(t, string(r.body), row.password)
		require.Empty(t, b.cookie())
		require.Contains(t, r.Header.Get("Content-Security-Policy"), "style-src 'self'")
		require.NotContains(t, r.doc.Find(`a[hreflang="zh-CN"]`).AttrOr("href", ""), "password")
	}
	b := s.browser(t)
	var r *response
	for range 6 {
		r = b.submit(b.get("/ui/sign-in"), "form.fields", "name", "boss", "password", "not the password")
	}
	require.Equal(t, 429, r.StatusCode)
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	require.Regexp(t, `Too many attempts. Try again in \d+ (second|minute)s?\.`, r.text)
	require.Equal(t, "boss", r.doc.Find("#sign-in-name").AttrOr("value", ""))
	require.Contains(t, s.browser(t).do(http.MethodPost, "/signin/password", url.Values{"name": {"boss"},
		"password": {"x"}}, "Accept-Language", "zh-CN").doc.Find("html").AttrOr("lang", ""), "zh-CN")
}

// TestSignInReturn: a browser is sent to paths of the page only.
func TestSignInReturn(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	for given, want := range map[string]string{
		"/ui/profile?done=changed": "/ui/profile?done=changed", "/ui/": "/ui/", "": "/ui/", "https://evil.example/": "/ui/",
		"//evil.example": "/ui/", "/\\evil.example": "/ui/", "/ui//evil.example": "/ui/", "/ui/../api/": "/ui/",
		"/ui/%2e%2e/api/": "/ui/", "/other": "/ui/", "/ui/\t/evil": "/ui/", "/ui/sign-in": "/ui/", "/ui/sign-out": "/ui/",
		"/ui/a b": "/ui/", "javascript:alert(1)": "/ui/", "/ui/x#y": "/ui/", "/ui/" + strings.Repeat("a", 3000): "/ui/",
		"/ui/repositories/acme/app/-/images/v1": "/ui/repositories/acme/app/-/images/v1",
	} {
		b := s.browser(t).steps()
		r := b.get("/ui/sign-in?" + url.Values{"return": {given}}.Encode())
		require.Equal(t, want, r.doc.Find("form.fields input[name=return]").AttrOr("value", ""), given)
		b.signIn("ann")
		r = b.get("/ui/sign-in?" + url.Values{"return": {given}}.Encode())
		require.Equal(t, want, r.Header.Get("Location"), given)
		require.Equal(t, 303, r.StatusCode)
	}
	r := s.browser(t).do(http.MethodPost, "/signin/password",
		url.Values{"name": {"ann"}, "password": {password}, "return": {"//evil.example"}})
	require.Equal(t, 400, r.StatusCode, "the handler itself refuses it, too")
}

// TestSignInOfAnotherPage: a page of another origin signs nobody in or out.
func TestSignInOfAnotherPage(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"},
	} {
		b := s.browser(t)
		r := b.do(http.MethodPost, "/signin/password", url.Values{"name": {"ann"}, "password": {password}}, headers...)
		require.Equal(t, 403, r.StatusCode, headers)
		require.Contains(t, r.text, "A page of another origin sent the form.")
		require.Empty(t, b.cookie())
		b.signIn("ann")
		for _, path := range []string{"/signin/logout", "/ui/sessions", "/ui/sessions/everywhere", "/ui/profile",
			"/ui/profile/password", "/ui/sign-out", "/ui/tokens/-/new"} {
			require.Equal(t, 403, b.do(http.MethodPost, path, url.Values{}, headers...).StatusCode, path)
		}
		require.Equal(t, "ann", b.caller())
	}
}

// TestSessionFixation: a sign-in begins a new session and ends the one that the browser brought.
func TestSessionFixation(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	attacker := s.browser(t)
	attacker.signIn("bob")
	planted := attacker.cookie()
	victim := s.browser(t)
	u, err := url.Parse(s.server.URL)
	require.NoError(t, err)
	victim.Jar.SetCookies(u, []*http.Cookie{{Name: session.Cookie, Value: planted, Path: "/", Secure: true}})
	require.Equal(t, "bob", victim.caller())
	victim.submit(victim.get("/ui/sign-out"), "main form")
	victim.Jar.SetCookies(u, []*http.Cookie{{Name: session.Cookie, Value: planted, Path: "/", Secure: true}})
	victim.signIn("ann")
	require.NotEqual(t, planted, victim.cookie())
	require.Equal(t, "ann", victim.caller())
	require.Empty(t, attacker.caller())
}

// TestSessionEndsElsewhere: the next page leads to the sign-in, and back to the same page.
func TestSessionEndsElsewhere(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	other := newSignInSite(t, s.driver, nil)
	desk, laptop := s.browser(t), other.browser(t)
	desk.signIn("ann")
	laptop.url = other.server.URL
	laptop.agent = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36"
	laptop.signIn("ann")

	r := desk.get("/ui/sessions")
	require.Equal(t, 2, r.doc.Find("tbody tr").Length(), "both replicas share the sessions")
	require.Contains(t, r.doc.Find("tbody tr").First().Text(), "Firefox on Linux this device")
	require.Contains(t, r.doc.Find("tbody tr").Last().Text(), "Chrome on Windows")
	r = desk.submit(r, `tbody tr form[action$="/end"]`)
	require.Contains(t, r.text, "The session has ended.")
	time.Sleep(2 * refresh)
	r = laptop.get("/ui/profile?tab=x")
	require.Equal(t, "/ui/sign-in", r.Request.URL.Path)
	r = laptop.submit(r, "form.fields", "name", "ann", "password", password)
	require.Equal(t, "/ui/profile?tab=x", r.Request.URL.RequestURI())

	r = desk.submit(desk.get("/ui/sessions"), `form[action="/ui/sessions"]`)
	require.Contains(t, r.text, "All other sessions have ended.")
	require.Equal(t, 1, r.doc.Find("tbody tr").Length())
	r = desk.submit(desk.get("/ui/profile"), `form[action="/ui/sessions/everywhere"]`)
	require.Contains(t, r.text, "All your sessions have ended, on every device.")
	require.Empty(t, desk.caller())
}

// TestSessionIsNotForPulls: the cookie and the value are never valid on /v2/.
func TestSessionIsNotForPulls(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	b := s.browser(t)
	b.signIn("ann")
	require.Equal(t, 401, b.get("/v2/acme/app/manifests/v1").StatusCode)
	require.Equal(t, 401, b.do(http.MethodGet, "/v2/", nil, "Authorization", "Bearer "+b.cookie()).StatusCode)
}

// TestDisabledUserIsSignedOut: sessions of a user who is disabled end, and leave the page usable.
func TestDisabledUserIsSignedOut(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	b := s.browser(t)
	b.signIn("bob")
	bob, err := s.people.Find(t.Context(), "bob")
	require.NoError(t, err)
	_, err = s.people.Disable(t.Context(), accounts.Actor{}, bob.ID)
	require.NoError(t, err)
	require.Equal(t, "/ui/sign-in", b.get("/ui/profile").Request.URL.Path)
	require.Equal(t, 200, b.get("/ui/").StatusCode)
}

// TestPlainHTTP: the page shows no form for a password that the network could read, and accepts none.
func TestPlainHTTP(t *testing.T) {
	s := newSignInSite(t, nil, func(s *site, manage *api.Options, _ *web.Options, _ *signin.Options) {
		var err error
		manage.SignUp, err = accounts.NewSignUps(s.people, nil)
		require.NoError(t, err)
	})
	ask := func(method, url, form string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, url, strings.NewReader(form))
		r.SetBasicAuth("ann", password)
		if strings.Contains(url, "sign") {
			r.Header.Del("Authorization")
		}
		if form != "" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := httptest.NewRecorder()
		s.page.ServeHTTP(w, r)
		return w
	}
	for _, path := range []string{"/ui/sign-in", "/ui/sign-up", "/ui/profile"} {
		w := ask("GET", "http://hub.example"+path, "")
		require.Contains(t, w.Body.String(), "This page came without TLS", path)
		require.NotContains(t, w.Body.String(), `type="password"`, path)
		require.Contains(t, ask("GET", "https://hub.example"+path, "").Body.String(), `type="password"`, path)
		require.Contains(t, ask("GET", "http://localhost:5000"+path, "").Body.String(), `type="password"`, path)
	}
	for path, form := range map[string]string{
		"/ui/sign-up":          "name=fresh&password=sunny+cello+marmot&again=sunny+cello+marmot",
		"/ui/profile/password": "old=" + url.QueryEscape(password) + "&password=sunny+cello+marmot&again=sunny+cello+marmot",
	} {
		w := ask("POST", "http://hub.example"+path, form)
		require.Equal(t, 403, w.Code, path)
		require.Contains(t, w.Body.String(), "Passwords need TLS. Nothing was changed.", path)
	}
	_, err := s.people.Find(t.Context(), "fresh")
	require.ErrorIs(t, err, accounts.ErrUnknown)
}

// TestBasic: without sessions, the browser asks for the password, and forgets it at the sign-out.
func TestBasic(t *testing.T) {
	s := newSite(t, func(_ *site, _ *api.Options, page *web.Options) { page.SignIn = &web.SignIn{Basic: true} })
	r := s.get(t, "", "/profile")
	require.Equal(t, "/ui/sign-in?return=%2Fui%2Fprofile", r.Header.Get("Location"))
	r = s.follow(t, "", r)
	require.Equal(t, 401, r.StatusCode)
	require.Contains(t, r.Header.Get("WWW-Authenticate"), "Basic ")
	require.Contains(t, r.text, "Your browser asks for your name and your password")
	r = s.get(t, "ann", "/sign-in?return=%2Fui%2Fprofile")
	require.Equal(t, "/ui/profile", r.Header.Get("Location"))
	r = s.submit(t, "ann", s.get(t, "ann", "/sign-out"), "main form")
	require.Equal(t, 401, r.StatusCode)
	require.NotEmpty(t, r.Header.Get("WWW-Authenticate"))

	wrong := httptest.NewRequest("GET", "http://127.0.0.1/ui/", nil)
	wrong.SetBasicAuth("ann", "not the password")
	w := httptest.NewRecorder()
	s.page.ServeHTTP(w, wrong)
	require.Equal(t, 401, w.Code, "the browser asks again")
	require.NotEmpty(t, w.Header().Get("WWW-Authenticate"))
	plain := httptest.NewRequest("GET", "http://hub.example/ui/sign-in", nil)
	w = httptest.NewRecorder()
	s.page.ServeHTTP(w, plain)
	require.Equal(t, 200, w.Code)
	require.Empty(t, w.Header().Get("WWW-Authenticate"), "the browser must not send a password without TLS")
}

// TestSignInOptions: contradictions are errors.
func TestSignInOptions(t *testing.T) {
	s := newSite(t, nil)
	for name, in := range map[string]*web.SignIn{
		"no path": {Password: true}, "no slash": {Path: "/signin", Password: true}, "no way": {Path: "/signin/"},
		"a host": {Path: "//host/", Password: true}, "both": {Basic: true, Password: true},
		"sessions without TLS": {Path: "/signin/", Password: true, PlainHTTP: true},
	} {
		_, err := web.New(s.api, &web.Options{SignIn: in})
		require.Error(t, err, name)
	}
}
