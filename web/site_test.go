package web_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/web"
)

// password is the password of every user of a site.
const password = "correct horse battery staple"

// site is a registry with accounts, its management API at /api/ and its page at /ui/. It has the admin boss, the users
// ann and bob, and the organisation acme, which ann owns. Requests log in by Basic credentials.
type site struct {
	driver   driver.Driver
	store    *storage.Store
	people   *accounts.Accounts
	registry *registry.Registry
	api      *api.API
	page     *web.Page
	url      string
	onEvents func([]notification.Event)
	// calls counts the calls of the Backend.
	calls atomic.Int64
}

// Notify gives events to the test.
func (s *site) Notify(_ context.Context, events []notification.Event) error {
	if s.onEvents != nil {
		s.onEvents(events)
	}
	return nil
}

// newSite starts a site. configure adds the parts that a test needs; the accounts are there already. It may be nil.
func newSite(t *testing.T, configure func(s *site, manage *api.Options, page *web.Options)) *site {
	t.Helper()
	return newSiteOver(t, memory.New(nil), configure)
}

// newSiteOver is newSite over a Driver.
func newSiteOver(t *testing.T, d driver.Driver,
	configure func(s *site, manage *api.Options, page *web.Options)) *site {
	t.Helper()
	s := newSiteAgain(t, d, configure)
	s.populate(t)
	return s
}

// newSiteAgain is newSite over a Driver that has the accounts of a site already, such as for another replica.
func newSiteAgain(t *testing.T, d driver.Driver,
	configure func(s *site, manage *api.Options, page *web.Options)) *site {
	t.Helper()
	return startSite(t, d, nil, configure)
}

// newSiteWith is newSite with a filter around the storage.
func newSiteWith(t *testing.T, around func(registry.Backend) registry.Backend,
	configure func(s *site, manage *api.Options, page *web.Options)) *site {
	t.Helper()
	s := startSite(t, memory.New(nil), around, configure)
	s.populate(t)
	return s
}

// startSite is newSiteAgain with a filter around the storage, which may be nil.
func startSite(t *testing.T, d driver.Driver, around func(registry.Backend) registry.Backend,
	configure func(s *site, manage *api.Options, page *web.Options)) *site {
	t.Helper()
	s := &site{driver: d}
	var err error
	s.store, err = storage.New(t.Context(), s.driver, &storage.Options{History: storage.DefaultGrace})
	require.NoError(t, err)
	s.people, err = accounts.New(s.driver, &accounts.Options{Sink: s})
	require.NoError(t, err)
	users, err := accounts.NewAuthenticator(s.people, nil)
	require.NoError(t, err)
	var backend registry.Backend = s.store
	if around != nil {
		backend = around(backend)
	}
	counted := registry.Intercept(backend, func(ctx context.Context, _ *registry.Op,
		next func(context.Context) error) error {
		s.calls.Add(1)
		return next(ctx)
	})
	s.registry, err = registry.New(counted, &registry.Options{
		Authenticator: users, Authorizer: accounts.NewAuthorizer(s.people), Sink: s,
	})
	require.NoError(t, err)
	manage, page := &api.Options{
		Parts: api.Parts{Accounts: s.people, Bin: s.store.Inventory()}, Tags: s.store.Inventory(),
	}, &web.Options{}
	if configure != nil {
		configure(s, manage, page)
	}
	s.api, err = api.New(s.registry, manage)
	require.NoError(t, err)
	s.page, err = web.New(s.api, page)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/v2/", s.registry)
	mux.Handle("/api/", http.StripPrefix("/api", s.api))
	mux.Handle("/ui/", s.page)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// populate makes the accounts of a site.
func (s *site) populate(t *testing.T) {
	t.Helper()
	by, ids := accounts.Actor{}, map[string]accounts.ID{}
	for _, name := range []string{"boss", "ann", "bob"} {
		user, err := s.people.CreateUser(t.Context(), by, name, password, nil)
		require.NoError(t, err)
		ids[name] = user.ID
	}
	require.NoError(t, s.people.AddAdmin(t.Context(), by, ids["boss"]))
	_, err := s.people.CreateOrganisation(t.Context(), by, "acme", ids["ann"], nil)
	require.NoError(t, err)
}

// response is a response of the page.
type response struct {
	*http.Response
	// doc is the page, and text its text without tags.
	doc  *goquery.Document
	text string
	body []byte
}

// get requests a path of the page, such as "/bin", as a user, or as nobody for "". It does not follow redirects.
func (s *site) get(t *testing.T, as, path string) *response {
	t.Helper()
	return s.send(t, as, http.MethodGet, path, nil)
}

// post sends a form, given as pairs of a name and a value, to a path of the page.
func (s *site) post(t *testing.T, as, path string, pairs ...string) *response {
	t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return s.send(t, as, http.MethodPost, path, values)
}

// submit sends a form of a page, with the values that it has there and those of pairs. The selector
// must match one form.
func (s *site) submit(t *testing.T, as string, on *response, selector string, pairs ...string) *response {
	t.Helper()
	f := on.doc.Find(selector)
	require.Equal(t, 1, f.Length(), "forms %s in %s", selector, on.body)
	values := url.Values{}
	f.Find("input[name], textarea[name], select[name], button[name]").Each(func(_ int, e *goquery.Selection) {
		kind := e.AttrOr("type", "")
		_, checked := e.Attr("checked")
		if (kind == "checkbox" || kind == "radio") && !checked {
			return
		}
		value := e.AttrOr("value", e.Text())
		if goquery.NodeName(e) == "select" {
			value = e.Find("option[selected]").AttrOr("value", e.Find("option").First().AttrOr("value", ""))
		}
		values.Add(e.AttrOr("name", ""), value)
	})
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	target, err := on.Request.URL.Parse(f.AttrOr("action", ""))
	require.NoError(t, err)
	return s.send(t, as, strings.ToUpper(f.AttrOr("method", "get")), strings.TrimPrefix(target.RequestURI(), "/ui"),
		values)
}

// submitAll is submit for a form with several fields of one name. pairs replace or add fields.
func (s *site) submitAll(t *testing.T, as string, on *response, selector string, pairs ...string) *response {
	t.Helper()
	f := on.doc.Find(selector)
	require.Equal(t, 1, f.Length(), "forms %s in %s", selector, on.body)
	values := url.Values{}
	f.Find("input[name]").Each(func(_ int, e *goquery.Selection) {
		if _, checked := e.Attr("checked"); e.AttrOr("type", "") != "checkbox" || checked {
			values.Add(e.AttrOr("name", ""), e.AttrOr("value", ""))
		}
	})
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	target, err := on.Request.URL.Parse(f.AttrOr("action", ""))
	require.NoError(t, err)
	return s.send(t, as, http.MethodPost, strings.TrimPrefix(target.RequestURI(), "/ui"), values)
}

// follow requests the page to which a response redirects.
func (s *site) follow(t *testing.T, as string, r *response) *response {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, r.StatusCode, string(r.body))
	target, ok := strings.CutPrefix(r.Header.Get("Location"), "/ui")
	require.True(t, ok, r.Header.Get("Location"))
	return s.get(t, as, target)
}

func (s *site) send(t *testing.T, as, method, path string, form url.Values) *response {
	t.Helper()
	var body io.Reader
	target := s.url + "/ui" + path
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	} else if len(form) > 0 {
		target += "?" + form.Encode()
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, body)
	require.NoError(t, err)
	if body != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if as != "" {
		r.SetBasicAuth(as, password)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	client.Jar, err = cookiejar.New(nil)
	require.NoError(t, err)
	res, err := client.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	a := &response{Response: res}
	a.body, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	a.doc, err = goquery.NewDocumentFromReader(bytes.NewReader(a.body))
	require.NoError(t, err)
	a.text = strings.Join(strings.Fields(a.doc.Find("main").Text()), " ")
	checkPage(t, a)
	return a
}

// pushImage pushes an image as a user, and returns its digest. layers are the contents of its layers.
func (s *site) pushImage(t *testing.T, as, repo, tag, config string, layers ...string) digest.Digest {
	t.Helper()
	b := s.registry.Backend(s.identity(t, as))
	return pushImage(t, b, repo, tag, config, layers...)
}

// identity returns the identity of a user.
func (s *site) identity(t *testing.T, name string) auth.Identity {
	t.Helper()
	users, err := accounts.NewAuthenticator(s.people, nil)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, password)
	identity, err := users.Authenticate(r)
	require.NoError(t, err)
	return identity
}
