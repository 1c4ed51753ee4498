package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/apicheck"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// password is the password of every user of a site.
const password = "correct horse battery staple"

// site is a registry with accounts and its management API at /api, over HTTP. Every exchange is compared with the
// description. It has the admin boss, the users ann and bob, and the organisation acme, which ann owns.
type site struct {
	driver   driver.Driver
	store    *storage.Store
	people   *accounts.Accounts
	registry *registry.Registry
	api      *api.API
	url      string
	check    *apicheck.Checker
	audited  chan auth.Decision // the last decisions; older ones are dropped
	trail    *audit.Log         // receives events and decisions, if a test sets it
	onEvents func([]notification.Event)
}

// Notify gives events of the registry and of accounts to the audit log.
func (s *site) Notify(ctx context.Context, events []notification.Event) error {
	if s.onEvents != nil {
		s.onEvents(events)
	}
	if s.trail == nil {
		return nil
	}
	return s.trail.Notify(ctx, events)
}

// newSite starts a site. configure adds the parts that a test needs; the accounts are there already. It may be nil.
func newSite(t *testing.T, configure func(s *site, opts *api.Options)) *site {
	t.Helper()
	return newSiteOver(t, memory.New(nil), configure)
}

// newSiteOver is newSite over a Driver, which several sites may share like replicas.
func newSiteOver(t *testing.T, d driver.Driver, configure func(s *site, opts *api.Options)) *site {
	t.Helper()
	s := startSite(t, d, nil, configure)
	s.populate(t)
	return s
}

// newRefinedSite is newSite with rules beside the accounts.
func newRefinedSite(t *testing.T, refine auth.Authorizer, configure func(s *site, opts *api.Options)) *site {
	t.Helper()
	s := startSite(t, memory.New(nil), refine, configure)
	s.populate(t)
	return s
}

// newEmptySite is a site without accounts, over a Driver.
func newEmptySite(t *testing.T, d driver.Driver) *site {
	t.Helper()
	return startSite(t, d, nil, func(s *site, opts *api.Options) { opts.Accounts = s.people })
}

// startSite is newRefinedSite over a Driver and without accounts. refine may be nil.
func startSite(t *testing.T, d driver.Driver, refine auth.Authorizer,
	configure func(s *site, opts *api.Options)) *site {
	t.Helper()
	s := &site{driver: d, audited: make(chan auth.Decision, 1000)}
	var err error
	s.store, err = storage.New(t.Context(), s.driver, &storage.Options{History: storage.DefaultGrace})
	require.NoError(t, err)
	s.people, err = accounts.New(s.driver, &accounts.Options{Sink: s})
	require.NoError(t, err)
	users, err := accounts.NewAuthenticator(s.people, nil)
	require.NoError(t, err)
	s.registry, err = registry.New(s.store, &registry.Options{
		Authenticator: users, Authorizer: accounts.NewAuthorizer(s.people).Refine(refine),
		Sink: s,
		Audit: func(ctx context.Context, d auth.Decision) {
			if s.trail != nil {
				s.trail.Decided(ctx, d)
			}
			select {
			case s.audited <- d:
			default:
			}
		},
	})
	require.NoError(t, err)
	opts := &api.Options{}
	if configure != nil {
		configure(s, opts)
	}
	s.api, err = api.New(s.registry, opts)
	require.NoError(t, err)
	manage := http.StripPrefix("/api", s.api)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") { // a ServeMux would redirect paths with ".." and "//"
			manage.ServeHTTP(w, r)
			return
		}
		s.registry.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	s.check, err = apicheck.New([]byte(s.description(t)))
	require.NoError(t, err)
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

// description returns the description that the API serves.
func (s *site) description(t *testing.T) string {
	t.Helper()
	r, err := http.Get(s.url + "/api/v1/openapi.json")
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, 200, r.StatusCode)
	return string(b)
}

// answer is a response of the API.
type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// do sends a request as a user, or without credentials if user is "". The path begins with /v1/. body is anything
// with a JSON form, a string for the body as it is, or nil. Each header is "Name: value".
func (s *site) do(t *testing.T, user, method, path string, body any, headers ...string) *answer {
	t.Helper()
	var content []byte
	switch b := body.(type) {
	case nil:
	case string:
		content = []byte(b)
	default:
		var err error
		content, err = json.Marshal(b)
		require.NoError(t, err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.url+"/api"+path, bytes.NewReader(content))
	require.NoError(t, err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(r) // without following redirects
	require.NoError(t, err)
	defer res.Body.Close()
	a := &answer{t: t, status: res.StatusCode, header: res.Header}
	a.body, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	described := r.Clone(t.Context())
	described.URL.Path = strings.TrimPrefix(r.URL.Path, "/api")
	described.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, "/api")
	require.NoError(t, s.check.Check(apicheck.Exchange{Request: described, RequestBody: content, Status: a.status,
		Header: a.header, ResponseBody: a.body}), "%s", a.body)
	return a
}

// want requires a status.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	require.Equal(a.t, status, a.status, "%s", a.body)
	return a
}

// into decodes the body.
func (a *answer) into(v any) *answer {
	a.t.Helper()
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.DisallowUnknownFields()
	require.NoError(a.t, d.Decode(v), "%s", a.body)
	return a
}

// fails requires a problem with a status and a code.
func (a *answer) fails(status int, code string) {
	a.t.Helper()
	a.want(status)
	var p types.Problem
	a.into(&p)
	require.Equal(a.t, code, p.Code)
}

// ifMatch returns the header for a change of the object in the answer.
func (a *answer) ifMatch() string { return "If-Match: " + a.header.Get("ETag") }

// next returns the path of the next page, or "" on the last one.
func (a *answer) next() string {
	link := a.header.Get("Link")
	if link == "" {
		return ""
	}
	target, ok := strings.CutSuffix(link, `>; rel="next"`)
	require.True(a.t, ok, link)
	return strings.TrimPrefix(target, "</api")
}
