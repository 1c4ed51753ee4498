package web_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/usage"
	"github.com/registrykit/registry/web"
)

// pathValues are what the parameters of paths stand for on a site of newWalkSite. A view with another parameter fails
// TestWalkRoles.
var pathValues = map[string]string{"repo": "acme/app", "ref": "v1", "prefix": "acme", "user": "bob",
	"organisation": "acme",
	"team":         "builders", "namespace": "acme", "robot": "deploy", "token": "none", "link": "none", "session": "none",
	"webhook": "none", "delivery": "none", "job": "collect", "name": "old", "owner": "ann", "member": "bob",
	"account": "bob", "id": "none"}

// pathQueries are the parameters of views that show nothing without them, and pathForms those of
// changes, by method and path. A form without a row is sent empty.
var pathQueries, pathForms = map[string]string{
	"GET /language":                      "to=zh-CN&return=/ui/bin",
	"GET /search":                        "q=app",
	"GET /repositories/{repo}/-/delete":  "tag=v1&digest=DIGEST",
	"GET /repositories/{repo}/-/retag":   "tag=v1",
	"GET /repositories/{repo}/-/copy":    "digest=DIGEST",
	"GET /repositories/{repo}/-/compare": "from=v1&to=DIGEST",
}, map[string]string{
	"POST /repositories/{repo}/-/settings": "description=x&visibility=private",
	"POST /repositories/{repo}/-/delete":   "tag=v1&tag-version=VERSION",
	"POST /repositories/{repo}/-/restore":  "tag=gone&version=",
	"POST /repositories/{repo}/-/retag":    "tag=v1&new=v9",
	"POST /repositories/{repo}/-/copy":     "tag=v1&to=acme/other&to-tag=v1",
}

// sample is a request of a view.
type sample struct{ method, path, form string }

// parameter matches a parameter of a path.
var parameter = regexp.MustCompile(`\{(\w+)\}`)

// samples returns a request for each view of the page.
func (s *site) samples(t testing.TB, ids *strings.Replacer) (all []sample) {
	t.Helper()
	for _, route := range web.Routes(s.page) {
		method, path, _ := strings.Cut(route, " ")
		path = parameter.ReplaceAllStringFunc(path, func(p string) string {
			value := pathValues[strings.Trim(p, "{}")]
			require.NotEmpty(t, value, "%s: the walk has no value of %s", route, p)
			return value
		})
		if query := pathQueries[route]; query != "" {
			path += "?" + query
		}
		all = append(all, sample{method, ids.Replace(path), ids.Replace(pathForms[route])})
	}
	return all
}

// walkers are the callers of the walk: nobody, a stranger, a writer, an owner of the organisation, and an admin.
var walkers = []string{"", "bob", "writer", "ann", "boss"}

// newWalkSite returns a site with content in acme/app, the writer of a team, and the values of samples.
func newWalkSite(t *testing.T) (*site, *strings.Replacer) {
	t.Helper()
	s := newSite(t, walkParts(t))
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	s.pushImage(t, "ann", "acme/app", "gone", amd64, "other")
	b := s.registry.Backend(s.identity(t, "ann"))
	require.NoError(t, b.DeleteManifest(t.Context(), "acme/app", byTag("gone"), nil))
	by := accounts.Actor{}
	writer, err := s.people.CreateUser(t.Context(), by, "writer", password, nil)
	require.NoError(t, err)
	acme, err := s.people.Lookup(t.Context(), "acme")
	require.NoError(t, err)
	_, err = s.people.CreateTeam(t.Context(), by, acme.ID, "builders",
		&accounts.TeamOptions{Grants: []accounts.Grant{{Repositories: "**", Role: accounts.Write}}})
	require.NoError(t, err)
	require.NoError(t, s.people.JoinTeam(t.Context(), by, acme.ID, "builders", writer.ID))
	return s, strings.NewReplacer("DIGEST", d.String(), "VERSION", url.QueryEscape(`"`+d.String()+`"`))
}

// walkParts adds the parts of the API whose views the walk visits.
func walkParts(t *testing.T) func(*site, *api.Options, *web.Options) {
	return func(s *site, manage *api.Options, _ *web.Options) {
		var err error
		check := func(e error) { require.NoError(t, e) }
		manage.Sessions, err = session.New(s.driver, s.people, nil)
		check(err)
		manage.SignUp, err = accounts.NewSignUps(s.people, nil)
		check(err)
		manage.Search, err = search.New(s.store, &search.Options{Accounts: s.people})
		check(err)
		manage.Usage, err = usage.New(s.store, s.driver, nil)
		check(err)
		limits, err := quota.NewLimits([]quota.Limit{{Prefix: "*", Max: quota.Amounts{Bytes: 1 << 30}}})
		check(err)
		manage.Quotas, err = quota.New(s.store, s.store, s.driver, limits, nil)
		check(err)
		keep, err := retention.Parse("retention.yaml", []byte("rules: []"))
		check(err)
		manage.Retention, err = retention.New(s.store, s.driver, keep, nil)
		check(err)
		manage.Webhooks, err = endpoints.New(s.driver, nil)
		check(err)
		manage.Audit, err = audit.New(s.driver, nil)
		check(err)
		manage.Jobs, err = jobs.New(s.driver, &jobs.Options{Holder: "one", Jobs: []jobs.Job{{Name: "collect",
			Run: func(context.Context, *jobs.Progress) (any, error) { return nil, nil }}}})
		check(err)
		manage.Scrub = s.driver
	}
}

// everything returns the keys of a storage with their versions.
func everything(t *testing.T, d driver.Driver) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range d.List(t.Context(), "", &driver.ListOptions{}) {
		require.NoError(t, err)
		all[info.Key] = info.Version
	}
	return all
}

// content is everything without the counts of package quota. The first request for the state of a prefix that was never
// counted stores its count (q/) and the tables of its repositories (s/r/, package usage). Both are caches of what the
// repositories have: see quota.Quotas.State.
func content(t *testing.T, d driver.Driver) map[string]string {
	t.Helper()
	all := everything(t, d)
	maps.DeleteFunc(all,
		func(key, _ string) bool { return strings.HasPrefix(key, "q/") || strings.HasPrefix(key, "s/r/") })
	return all
}

// raw sends a request as it is, which must not fail. header is pairs of a name and a value.
func (s *site) raw(t *testing.T, as, method, path, form string, header ...string) *response {
	t.Helper()
	r := s.rawly(t, as, method, path, form, header...)
	require.Less(t, r.StatusCode, 500, "%s %s as %q: %s", method, path, as, r.body)
	return r
}

// rawly is raw for a request that may fail.
func (s *site) rawly(t *testing.T, as, method, path, form string, header ...string) *response {
	t.Helper()
	r := httptest.NewRequest(method, "http://registry.example/", strings.NewReader(form))
	target, query, _ := strings.Cut("/ui"+path, "?")
	r.URL = &url.URL{Path: target, RawPath: target, RawQuery: query}
	if text, err := url.PathUnescape(target); err == nil {
		r.URL.Path = text
	}
	r.RequestURI = "/ui" + path
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	if as != "" {
		r.SetBasicAuth(as, password)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.page.ServeHTTP(w, r.WithContext(context.WithoutCancel(t.Context())))
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	res.Request = r
	return &response{Response: res, body: body}
}

// TestWalkRoles: no view fails for anybody, callers without access get 401, 403 or 404, and a GET changes nothing.
func TestWalkRoles(t *testing.T) {
	s, ids := newWalkSite(t)
	for _, one := range s.samples(t, ids) {
		if one.method != http.MethodGet {
			continue
		}
		before := content(t, s.driver)
		for _, as := range walkers {
			r := s.get(t, as, one.path)
			require.Less(t, r.StatusCode, 500, "%s as %q", one.path, as)
			private := strings.HasPrefix(one.path, "/repositories/")
			if private && (as == "" || as == "bob") {
				require.Contains(t, []int{303, 401, 404}, r.StatusCode, "%s as %q", one.path, as)
				require.NotContains(t, r.text, "sha256:")
			}
		}
		require.Equal(t, before, content(t, s.driver), "GET %s has changed something", one.path)
	}
	counted := everything(t, s.driver)
	for _, as := range walkers {
		for _, path := range []string{"/", "/quotas"} {
			s.get(t, as, path)
			require.Equal(t, counted, everything(t, s.driver), "GET %s as %q has counted again", path, as)
		}
	}
}

// TestWalkChanges: a change needs access. A refused one changes nothing.
func TestWalkChanges(t *testing.T) {
	first, ids := newWalkSite(t)
	for _, one := range first.samples(t, ids) {
		if one.method != http.MethodPost || !strings.HasPrefix(one.path, "/repositories/") {
			continue
		}
		s, _ := newWalkSite(t)
		before := content(t, s.driver)
		for _, as := range []string{"", "bob"} {
			r := s.raw(t, as, "POST", one.path, one.form)
			require.Contains(t, []int{401, 403, 404}, r.StatusCode, "%s as %q: %s", one.path, as, r.body)
			require.Equal(t, before, content(t, s.driver), "%s as %q has changed something", one.path, as)
		}
		for _, as := range []string{"writer", "ann", "boss"} {
			s.raw(t, as, "POST", one.path, one.form)
		}
	}
}

// TestWalkForgedPosts: a POST of another origin, of another type, without its fields, or too large changes nothing.
func TestWalkForgedPosts(t *testing.T) {
	s, ids := newWalkSite(t)
	before := content(t, s.driver)
	for _, one := range s.samples(t, ids) {
		if one.method != http.MethodPost {
			continue
		}
		path, form := one.path, one.form
		for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"},
			{"Sec-Fetch-Site", "", "Origin", "https://evil.example"}, {"Sec-Fetch-Site", "", "Origin", "null"}} {
			require.Equal(t, 403, s.raw(t, "boss", "POST", path, form, header...).StatusCode, "%s %v", path, header)
		}
		for _, mediaType := range []string{"application/json", "text/plain", "multipart/form-data; boundary=x", ""} {
			require.Equal(t, 415, s.raw(t, "boss", "POST", path, form, "Content-Type", mediaType).StatusCode, path)
		}
		huge := form + "&x=" + strings.Repeat("a", 2<<20)
		require.Equal(t, 413, s.raw(t, "boss", "POST", path, huge).StatusCode, path)
		for _, bad := range []string{"a=%zz", "tag=%ff", "%ff=1", "tag=a%00b", "tag=v1;x=1"} {
			require.Equal(t, 400, s.raw(t, "boss", "POST", path, form+"&"+bad).StatusCode, "%s %s", path, bad)
		}
		for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "get"} {
			require.Contains(t, []int{403, 405}, s.raw(t, "boss", method, path, "").StatusCode, "%s %s", method, path)
		}
	}
	require.Equal(t, before, content(t, s.driver))
}

// TestWalkWithoutVersions: a delete without the versions that its page has sent changes nothing.
func TestWalkWithoutVersions(t *testing.T) {
	s, ids := newWalkSite(t)
	before := content(t, s.driver)
	const path = "/repositories/acme/app/-/delete"
	for _, form := range []string{"tag=v1", "tag=v1&tag-version=", "tag=v1&tag-version=*", `tag=v1&tag-version="x"`,
		"tag=v1&tag=v1&tag-version=VERSION&tag-version=VERSION", "tag=v1&version=VERSION", "digest=DIGEST",
		"digest=DIGEST&digest-version=", "digest=DIGEST&digest-version=*", "typed=acme/app", "typed=acme/app&version=",
		"typed=acme/app&version=*", "", "tag=&digest=", "tag=-&tag-version=x", "digest=x&digest-version=x"} {
		r := s.raw(t, "boss", "POST", path, ids.Replace(form))
		require.GreaterOrEqual(t, r.StatusCode, 400, form)
		require.Equal(t, before, content(t, s.driver), form)
	}
}

// hostilePaths are parts of paths that no view has.
var hostilePaths = []string{"..", "%2e%2e", "%2E.", "//", "%00", "%ff", "%0a", "%2f", "%5c", "\\", "-", "/-/-/", ";x",
	"%25", "%", "%zz", "'", `"`, "<b>", "%E2%80%AE", ".", "~", "a b", strings.Repeat("a", 300), strings.Repeat("a/", 2000)}

// TestWalkHostilePaths: no path makes the page fail or redirect to another host.
func TestWalkHostilePaths(t *testing.T) {
	s, ids := newWalkSite(t)
	before := content(t, s.driver)
	for _, one := range s.samples(t, ids) {
		path, query, _ := strings.Cut(one.path, "?")
		parts := strings.Split(path, "/")
		for i := range parts {
			for _, text := range hostilePaths {
				changed := slices.Clone(parts)
				changed[i] = text
				target := strings.Join(changed, "/")
				if !strings.HasPrefix(target, "/") {
					target = "/" + target
				}
				r := s.raw(t, "boss", http.MethodGet, target+"?"+query, "")
				location := r.Header.Get("Location")
				require.True(t, location == "" || strings.HasPrefix(location, "/ui/"), "%s: %s", target, location)
			}
		}
		for name := range (&url.URL{RawQuery: query}).Query() {
			for _, text := range slices.Concat(hostile, hostilePaths) {
				r := s.raw(t, "boss", http.MethodGet, path+"?"+url.Values{name: {text}}.Encode(), "")
				require.False(t, bytes.Contains(r.body, []byte("<script>alert")), "%s %s", path, name)
			}
		}
	}
	require.Equal(t, before, content(t, s.driver))
}

// FuzzPage: no request makes the page fail, and no text of a request becomes markup.
func FuzzPage(f *testing.F) {
	for i, path := range []string{"/", "/bin?q=a", "/repositories/acme/app/-/retag?tag=v1", "/search?q=v1"} {
		f.Add(path, "", false, uint8(i))
	}
	for route, form := range pathForms {
		_, path, _ := strings.Cut(route, " ")
		f.Add(strings.ReplaceAll(path, "{repo}", "acme/app"), form, true, uint8(3))
	}
	f.Add("/repositories/a/-/delete?tag=%00", "tag=a&tag=b&tag-version=", true, uint8(1))
	var s *site
	f.Fuzz(func(t *testing.T, path, form string, post bool, who uint8) {
		if s == nil {
			s, _ = newWalkSite(t)
		}
		method := http.MethodGet
		if post {
			method = http.MethodPost
		}
		if !strings.HasPrefix(path, "/") || len(path) > 4000 {
			return
		}
		r := s.raw(t, walkers[int(who)%len(walkers)], method, path, form)
		require.Contains(t, r.Header.Get("Content-Security-Policy"), "default-src 'none'")
		require.NotContains(t, string(r.body), "<script>", fmt.Sprintf("%s %s", method, path))
	})
}
