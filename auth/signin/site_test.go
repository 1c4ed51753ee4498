package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

const password = "sunny cello marmot"

// failures is the maximum number of wrong passwords for one name.
const failures = 4

// refresh is the time after which a site notices that another one has ended a session.
const refresh = 5 * time.Millisecond

// site is a program with sign-in at /signin/, over TLS. GET /whoami returns who the caller is.
type site struct {
	*httptest.Server
	driver   driver.Driver
	people   *accounts.Accounts
	sessions *session.Sessions
	handler  *signin.Handler

	mu     sync.Mutex
	errs   []error // of Options.Error
	audits []auth.Decision
}

// newSite starts a site with a provider, which change can alter, over the storage of d or a new
// one.
func newSite(t *testing.T, d driver.Driver, p *idp, change func(p *signin.Provider, o *signin.Options)) *site {
	t.Helper()
	if d == nil {
		d = memory.New(nil)
	}
	s := &site{driver: d}
	var err error
	s.people, err = accounts.New(d, nil)
	require.NoError(t, err)
	s.sessions, err = session.New(d, s.people, &session.Options{Refresh: refresh})
	require.NoError(t, err)
	logins, err := accounts.NewAuthenticator(s.people, &accounts.AuthenticatorOptions{Failures: failures})
	require.NoError(t, err)
	mux := http.NewServeMux()
	s.Server = httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)

	opts := &signin.Options{Passwords: logins, URL: s.URL + "/signin",
		Error: func(_ context.Context, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.errs = append(s.errs, err)
		},
		Audit: func(_ context.Context, d auth.Decision) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.audits = append(s.audits, d)
		}}
	if p != nil {
		one := signin.Provider{Name: "company", Title: "Company", Issuer: p.URL, ClientID: clientID,
			ClientSecret: clientSecret, Create: signin.ByName}
		if change != nil {
			change(&one, opts)
		}
		opts.Providers = append([]signin.Provider{one}, opts.Providers...)
	}
	s.handler, err = signin.New(s.people, s.sessions, bytes.Repeat([]byte{7}, 32), opts)
	require.NoError(t, err)
	mux.Handle("/signin/", http.StripPrefix("/signin", s.handler))
	who := s.sessions.Authenticator(nil)
	mux.HandleFunc("/whoami", func(w http.ResponseWriter, r *http.Request) {
		identity, err := who.Authenticate(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		send(w, 200, identity)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page "+r.URL.Path) })
	return s
}

// errors returns what the operator was told.
func (s *site) errors() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, err := range s.errs {
		all = append(all, err.Error())
	}
	return strings.Join(all, "\n")
}

// browser is a client with cookies.
type browser struct {
	t *testing.T
	s *site
	*http.Client
}

// browser returns a new browser that follows redirects.
func (s *site) browser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := s.Client()
	return &browser{t, s, &http.Client{Transport: client.Transport, Jar: jar}}
}

// steps makes the browser follow no redirects.
func (b *browser) steps() *browser {
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

// result is a response.
type result struct {
	t        *testing.T
	status   int
	header   http.Header
	body     string
	location string // absolute
}

// do sends a request. body is nil, a url.Values for a form, a string, or something with a JSON
// form.
func (b *browser) do(method, target string, body any, headers ...string) *result {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.s.URL + target
	}
	var content []byte
	contentType := ""
	switch v := body.(type) {
	case nil:
	case url.Values:
		content, contentType = []byte(v.Encode()), "application/x-www-form-urlencoded"
	case string:
		content, contentType = []byte(v), "application/json"
	default:
		var err error
		content, err = json.Marshal(v)
		require.NoError(b.t, err)
		contentType = "application/json"
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, bytes.NewReader(content))
	require.NoError(b.t, err)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := b.Do(r)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	got := &result{t: b.t, status: resp.StatusCode, header: resp.Header, body: string(text)}
	if to, err := resp.Location(); err == nil {
		got.location = to.String()
	} else if _, rest, ok := strings.Cut(got.body, `http-equiv="refresh" content="0; url=`); ok {
		to, _, _ := strings.Cut(rest, `"`)
		got.location = html.UnescapeString(to)
	}
	return got
}

func (r *result) want(status int) *result {
	r.t.Helper()
	require.Equal(r.t, status, r.status, "%s", r.body)
	return r
}

// fails requires a problem with a code.
func (r *result) fails(status int, code string) {
	r.t.Helper()
	r.want(status)
	var p types.Problem
	r.into(&p)
	require.Equal(r.t, code, p.Code)
	require.Equal(r.t, "application/problem+json", r.header.Get("Content-Type"))
}

func (r *result) into(v any) *result {
	r.t.Helper()
	d := json.NewDecoder(strings.NewReader(r.body))
	d.DisallowUnknownFields()
	require.NoError(r.t, d.Decode(v), "%s", r.body)
	return r
}

// whoami returns who is signed in. headers may have a Bearer token.
func (b *browser) whoami(headers ...string) auth.Identity {
	b.t.Helper()
	var identity auth.Identity
	r := b.do("GET", "/whoami", nil, headers...)
	if r.status == 401 {
		return identity
	}
	r.want(200).into(&identity)
	return identity
}

// signIn signs in at the provider.
func (b *browser) signIn() *result {
	b.t.Helper()
	return b.do("GET", "/signin/oidc/company?return=/repositories", nil, "Accept: application/json")
}

// cookie returns the value of the cookie of the session, or "".
func (b *browser) cookie() string {
	u, err := url.Parse(b.s.URL)
	require.NoError(b.t, err)
	for _, c := range b.Jar.Cookies(u) {
		if c.Name == session.Cookie {
			return c.Value
		}
	}
	return ""
}

// user makes a user with the password.
func (s *site) user(t *testing.T, name string) accounts.ID {
	t.Helper()
	acc, err := s.people.CreateUser(t.Context(), accounts.Actor{}, name, password, nil)
	require.NoError(t, err)
	return acc.ID
}

// organisation makes an organisation with teams.
func (s *site) organisation(t *testing.T, name string, owner accounts.ID, teams ...string) accounts.ID {
	t.Helper()
	org, err := s.people.CreateOrganisation(t.Context(), accounts.Actor{}, name, owner, nil)
	require.NoError(t, err)
	for _, team := range teams {
		_, err := s.people.CreateTeam(t.Context(), accounts.Actor{}, org.ID, team, nil)
		require.NoError(t, err)
	}
	return org.ID
}
