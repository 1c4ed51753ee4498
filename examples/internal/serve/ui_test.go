package serve

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// uiSite is a server with the page, over TLS.
type uiSite struct {
	*httptest.Server
	t      *testing.T
	config *config
}

// newUI starts a server with the page and access control.
func newUI(t *testing.T, a access) *uiSite {
	t.Helper()
	log, d := slog.New(slog.DiscardHandler), memory.New(nil)
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	require.NoError(t, registrytest.RandomImage(1, 1, 1000).Push(t.Context(), store, "team/app", "v1"))
	c := &config{minRate: 1, delete: true, access: a, ui: ui{on: true}}
	require.NoError(t, c.access.open(d, store, nil, false, log))
	handler, err := newHandler(t.Context(), c, d, store, &Served{Backend: store}, &limited{Backend: store}, nil, log)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	for _, run := range c.ui.work {
		go run(ctx)
	}
	s := &uiSite{httptest.NewTLSServer(handler), t, c}
	t.Cleanup(s.Close)
	return s
}

// browser returns a client with cookies that follows no redirects.
func (s *uiSite) browser() *http.Client {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	return &http.Client{Transport: s.Client().Transport, Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// do sends a request as a browser. form may be nil.
func (s *uiSite) do(b *http.Client, method, path string, form url.Values,
	change ...func(*http.Request)) (*http.Response,
	string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(form.Encode()))
	require.NoError(s.t, err)
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for _, f := range change {
		f(r)
	}
	res, err := b.Do(r)
	require.NoError(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res, string(text)
}

// TestUIOpen: without access control, everybody on this machine sees everything, under no other host name.
func TestUIOpen(t *testing.T) {
	s := newUI(t, access{})
	b := s.browser()
	res, _ := s.do(b, "GET", "/", nil)
	require.Equal(t, 303, res.StatusCode)
	require.Equal(t, "/ui/", res.Header.Get("Location"))
	res, text := s.do(b, "GET", "/ui/", nil)
	require.Equal(t, 200, res.StatusCode, text)
	require.Contains(t, text, "team/app")
	require.NotContains(t, text, "Sign in")
	for _, path := range []string{"/ui/", "/ui/repositories/team/app", "/"} {
		res, _ = s.do(b, "GET", path, nil, func(r *http.Request) { r.Host = "evil.example" })
		require.Equal(t, 403, res.StatusCode, path)
	}
	res, _ = s.do(b, "GET", "/v2/", nil)
	require.Equal(t, 200, res.StatusCode)
	res, _ = s.do(b, "GET", "/", nil, func(r *http.Request) { r.Header.Set("Accept", "*/*") })
	require.Equal(t, 404, res.StatusCode, "only browsers are led to the page")
	res, _ = s.do(b, "GET", "/api/v1/parts", nil)
	require.Equal(t, 404, res.StatusCode, "the management API is in the process only")
	res, _ = s.do(b, "GET", "/signin/", nil)
	require.Equal(t, 404, res.StatusCode)
}

// TestUIBasic: with -htpasswd, the browser asks for the password.
func TestUIBasic(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "htpasswd")
	require.NoError(t, os.WriteFile(file, []byte("ann:"+string(hash)+"\n"), 0o600))
	s := newUI(t, access{identities: identities{htpasswd: file}})
	b := s.browser()
	res, _ := s.do(b, "GET", "/ui/profile", nil)
	require.Equal(t, "/ui/sign-in?return=%2Fui%2Fprofile", res.Header.Get("Location"))
	res, _ = s.do(b, "GET", "/ui/sign-in", nil)
	require.Equal(t, 401, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("WWW-Authenticate"))
	login := func(password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth("ann", password) }
	}
	res, text := s.do(b, "GET", "/ui/", nil, login("secret"))
	require.Equal(t, 200, res.StatusCode, text)
	require.Contains(t, text, "team/app")
	res, _ = s.do(b, "GET", "/ui/", nil, login("wrong"))
	require.Equal(t, 401, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("WWW-Authenticate"))
	res, _ = s.do(b, "POST", "/ui/sign-out", url.Values{}, login("secret"))
	require.Equal(t, 401, res.StatusCode)
}

// TestUIAccounts: with -accounts, the first admin is made on the page, signs in there, and signs out.
func TestUIAccounts(t *testing.T) {
	s := newUI(t, access{identities: identities{accounts: true}})
	var out strings.Builder
	require.NoError(t, s.config.access.greet(t.Context(), &out, "./data", s.URL+"/ui/"))
	_, rest, ok := strings.Cut(out.String(), s.URL)
	require.True(t, ok, out.String())
	link, _, _ := strings.Cut(rest, "\n")
	b := s.browser()
	res, _ := s.do(b, "GET", link, nil)
	require.Equal(t, "/ui/setup", res.Header.Get("Location"))
	const password = "correct horse battery staple"
	res, text := s.do(b, "POST", "/ui/setup", url.Values{"name": {"ann"}, "password": {password}, "again": {password}})
	require.Equal(t, 303, res.StatusCode, text)
	require.Contains(t, res.Header.Get("Location"), "/ui/sign-in?")
	res, text = s.do(b, "POST", "/signin/password", url.Values{"name": {"ann"}, "password": {"wrong"}})
	require.Equal(t, 403, res.StatusCode)
	require.Contains(t, text, "The name or the password is wrong.")
	res, _ = s.do(b, "POST", "/signin/password",
		url.Values{"name": {"ann"}, "password": {password}, "return": {"/ui/users"}})
	require.Equal(t, "/ui/users", res.Header.Get("Location"))
	res, text = s.do(b, "GET", "/ui/users", nil)
	require.Equal(t, 200, res.StatusCode, text)
	res, _ = s.do(b, "GET", "/v2/team/app/tags/list", nil)
	require.Equal(t, 401, res.StatusCode, "a session is not for pulls")
	res, _ = s.do(b, "POST", "/signin/logout", url.Values{"return": {"/ui/sign-out"}})
	require.Equal(t, "/ui/sign-out", res.Header.Get("Location"))
	res, _ = s.do(b, "GET", "/ui/users", nil)
	require.Equal(t, 303, res.StatusCode)
}

// TestUIBehindProxy: below a path of a proxy, the links have the path.
func TestUIBehindProxy(t *testing.T) {
	s := newUI(t, access{externalURL: "https://images.example/registry", identities: identities{accounts: true}})
	_, err := s.config.access.people.CreateUser(t.Context(), accounts.Actor{}, "ann", "correct horse battery staple", nil)
	require.NoError(t, err)
	res, text := s.do(s.browser(), "GET", "/ui/sign-in", nil)
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, text, `action="/registry/signin/password"`)
	require.Contains(t, text, `href="/registry/ui/assets/`)
	require.Equal(t, "https://images.example/registry/ui/", s.config.pageURL("127.0.0.1:5000"))
}
