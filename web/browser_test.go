package web_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/web"
)

// refresh is the time after which a site notices that another one has ended a session.
const refresh = 5 * time.Millisecond

// signInSite is a site with sessions and a sign-in, over TLS, as a host builds it. url is that of its server.
type signInSite struct {
	*site
	sessions *session.Sessions
	server   *httptest.Server
}

// newSignInSite starts a site over the storage of d, or a new one for nil. configure may be nil. A site over a storage
// that another one has used has the same accounts.
func newSignInSite(t *testing.T, d driver.Driver, configure func(s *site, manage *api.Options, page *web.Options,
	in *signin.Options)) *signInSite {
	t.Helper()
	again := d != nil
	if d == nil {
		d = memory.New(nil)
	}
	s := &signInSite{}
	in := &signin.Options{Home: "/ui/"}
	build := func(one *site, manage *api.Options, page *web.Options) {
		var err error
		s.sessions, err = session.New(d, one.people, &session.Options{Refresh: refresh})
		require.NoError(t, err)
		logins, err := accounts.NewAuthenticator(one.people, &accounts.AuthenticatorOptions{Failures: 4})
		require.NoError(t, err)
		manage.Authenticator, manage.Sessions = s.sessions.Authenticator(logins), s.sessions
		page.SignIn = &web.SignIn{Path: "/signin/", Password: true}
		in.Passwords = logins
		if configure != nil {
			configure(one, manage, page, in)
		}
	}
	if again {
		s.site = newSiteAgain(t, d, build)
	} else {
		s.site = newSiteOver(t, d, build)
	}
	in.Fail = func(w http.ResponseWriter, r *http.Request, f signin.Failure) {
		s.page.SignInFailed(w, r, web.SignInFailure(f))
	}
	login, err := signin.New(s.people, s.sessions, bytes.Repeat([]byte{7}, 32), in)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/v2/", s.registry)
	mux.Handle("/api/", http.StripPrefix("/api", s.api))
	mux.Handle("/signin/", http.StripPrefix("/signin", login))
	mux.Handle("/ui/", s.page)
	s.server = httptest.NewTLSServer(mux)
	t.Cleanup(s.server.Close)
	return s
}

// browser is a browser with cookies.
type browser struct {
	t   *testing.T
	url string
	*http.Client
	agent string
}

// browser returns a new browser, which follows redirects.
func (s *signInSite) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t: t, url: s.server.URL, Client: &http.Client{Transport: s.server.Client().Transport, Jar: jar},
		agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
}

// steps makes the browser follow no redirects.
func (b *browser) steps() *browser {
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

// do sends a request as a browser does. form may be nil. headers are pairs of a name and a value,
// which replace those of a page of the same origin.
func (b *browser) do(method, path string, form url.Values, headers ...string) *response {
	b.t.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	require.NoError(b.t, err)
	r.Header.Set("User-Agent", b.agent)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if method == http.MethodPost {
		r.Header.Set("Origin", b.url)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := b.Do(r)
	require.NoError(b.t, err)
	defer res.Body.Close()
	a := &response{Response: res}
	a.body, err = io.ReadAll(res.Body)
	require.NoError(b.t, err)
	a.doc, err = goquery.NewDocumentFromReader(bytes.NewReader(a.body))
	require.NoError(b.t, err)
	a.text = strings.Join(strings.Fields(a.doc.Find("main").Text()), " ")
	if strings.HasPrefix(res.Request.URL.Path, "/ui/") || a.doc.Find("main").Length() > 0 {
		checkPage(b.t, a)
	}
	return a
}

// get requests a path.
func (b *browser) get(path string) *response {
	b.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

// submit sends a form of a page with values, which are pairs of a name and a value.
func (b *browser) submit(on *response, selector string, pairs ...string) *response {
	b.t.Helper()
	f := on.doc.Find(selector)
	require.Equal(b.t, 1, f.Length(), "forms %s in %s", selector, on.body)
	values := url.Values{}
	f.Find("input[name], textarea[name], select[name]").Each(func(_ int, e *goquery.Selection) {
		value := e.AttrOr("value", e.Text())
		if goquery.NodeName(e) == "select" {
			value = e.Find("option[selected]").AttrOr("value", "")
		}
		values.Add(e.AttrOr("name", ""), value)
	})
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	target, err := on.Request.URL.Parse(f.AttrOr("action", ""))
	require.NoError(b.t, err)
	return b.do(strings.ToUpper(f.AttrOr("method", "get")), target.RequestURI(), values)
}

// signIn signs a user in by the form of the page.
func (b *browser) signIn(name string) *response {
	b.t.Helper()
	return b.submit(b.get("/ui/sign-in"), "form.fields", "name", name, "password", password)
}

// cookie returns the value of the cookie of the session, or "".
func (b *browser) cookie() string {
	b.t.Helper()
	u, err := url.Parse(b.url)
	require.NoError(b.t, err)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == session.Cookie {
			return c.Value
		}
	}
	return ""
}

// caller returns the name of the person who is signed in, or "".
func (b *browser) caller() string {
	b.t.Helper()
	return strings.TrimSpace(b.get("/ui/").doc.Find("header summary").Last().Text())
}
