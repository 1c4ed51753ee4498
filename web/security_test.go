package web_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/demosite"
	"github.com/registrykit/registry/notification/sse"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/web"
)

// TestSecurity has a row for each class of security bug of other registries that concerns the page. The
// access of each view and change, CSRF and hostile paths are in walk_test.go, the bounds of hostile images are in
// imagebounds_test.go, and the routes of the management API in api/security_test.go.
func TestSecurity(t *testing.T) {
	for _, row := range []struct {
		class string
		test  func(t *testing.T)
	}{
		{"what is hidden looks unlike what is missing", testHidden},
		{"a token for pulls sees more by the page", testScopedTokens},
		{"an account that has ended", testEndedAccounts},
		{"stored XSS through texts of clients", testHostileSite},
		{"a response without the policy", testPolicyEverywhere},
		{"another method by a header or a field", testMethodOverride},
		{"login CSRF", TestSignInOfAnotherPage},
		{"session fixation", TestSessionFixation},
		{"an open redirect after the sign-in", TestSignInReturn},
		{"an open redirect by the path of the page", testReturnPaths},
		{"a lost update", testAnyVersion},
		{"a delete of two admins at once", testRaces},
		{"secrets that stay in the browser", testSecretsAreNotKept},
		{"streams of events without a limit", testManyStreams},
	} {
		t.Run(row.class, row.test)
	}
}

// paths of the page in a response, which differ between two views.
var returnPaths = regexp.MustCompile(`return=[^"&]*|href="[^"]*(language|theme)[^"]*"`)

// testHidden: what the caller may not see and what does not exist have the same response.
func testHidden(t *testing.T) {
	s, ids := newWalkSite(t)
	for _, one := range s.samples(t, ids) {
		hidden, ok := strings.CutPrefix(one.path, "/repositories/acme/app")
		if !ok {
			continue
		}
		for _, as := range []string{"", "bob"} {
			var seen []string
			for _, repo := range []string{"acme/app", "acme/nil", "none/app"} {
				r := s.raw(t, as, one.method, "/repositories/"+repo+hidden, one.form)
				body := strings.ReplaceAll(returnPaths.ReplaceAllString(string(r.body), ""), repo, "NAME")
				location := strings.ReplaceAll(r.Header.Get("Location"), url.QueryEscape(repo), "NAME")
				seen = append(seen, fmt.Sprint(r.StatusCode, location, body))
			}
			require.Equal(t, seen[0], seen[1], "%s %s as %q", one.method, one.path, as)
			require.Equal(t, seen[0], seen[2], "%s %s as %q", one.method, one.path, as)
		}
	}
}

// testScopedTokens: a caller with a token for pulls gets no view of the management API, and changes nothing.
func testScopedTokens(t *testing.T) {
	scoped := false
	s := newSite(t, func(s *site, manage *api.Options, page *web.Options) {
		users, err := accounts.NewAuthenticator(s.people, nil)
		require.NoError(t, err)
		manage.Authenticator = auth.AuthenticatorFunc(func(r *http.Request) (auth.Identity, error) {
			identity, err := users.Authenticate(r)
			if scoped {
				identity.Claims = map[string]any{auth.ScopesClaim: []string{"repository:acme/app:pull"}}
			}
			return identity, err
		})
	})
	d := s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	before := content(t, s.driver)
	scoped = true
	ids := strings.NewReplacer("DIGEST", d.String(), "VERSION", url.QueryEscape(`"`+d.String()+`"`))
	for _, one := range s.samples(t, ids) {
		r := s.raw(t, "boss", one.method, one.path, one.form)
		require.NotContains(t, string(r.body), d.String(), one.path)
	}
	require.Equal(t, before, content(t, s.driver))
}

// testEndedAccounts: a disabled user and the token of one see no more than strangers.
func testEndedAccounts(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	b := s.browser(t)
	b.signIn("ann")
	require.Equal(t, 200, b.get("/ui/repositories/acme/app").StatusCode)
	ann, err := s.people.Find(t.Context(), "ann")
	require.NoError(t, err)
	_, err = s.people.Disable(t.Context(), accounts.Actor{}, ann.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return b.get("/ui/repositories/acme/app").Request.URL.Path == "/ui/sign-in"
	}, 20*time.Second, 10*time.Millisecond)
	r := b.steps().do(http.MethodPost, "/ui/repositories/acme/app/-/delete", url.Values{"typed": {"acme/app"}})
	require.Contains(t, []int{401, 403, 404}, r.StatusCode)
}

// testHostileSite: each view that links lead to, of a site whose texts are hostile, is well-formed, has no text that a
// browser runs and no character that changes the direction of others, and is bounded.
func testHostileSite(t *testing.T) {
	s, err := demosite.New(t.Context(), demosite.Hostile, nil)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	for _, as := range []string{demosite.Boss, demosite.Cleo} {
		h, seen, queue := s.As(as), map[string]bool{}, []string{"/", "/ui/"}
		kinds := map[string]int{}
		for len(queue) > 0 {
			path := queue[0]
			queue = queue[1:]
			began := time.Now()
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, path, nil)
			h.ServeHTTP(w, r)
			require.Less(t, time.Since(began), 5*time.Second, path)
			require.Less(t, w.Body.Len(), 2<<20, path)
			require.Less(t, w.Code, 500, path)
			text := w.Body.String()
			if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
				text := typed.ReplaceAllString(text, "")
				odd := strings.IndexFunc(text, func(c rune) bool {
					return unicode.Is(unicode.Bidi_Control, c) || unicode.IsControl(c) && c != '\n' && c != '\t'
				})
				require.Negative(t, odd, "%s: %q", path, text[max(odd-200, 0):min(max(odd, 0)+50, len(text))])
				checkPage(t, parsed(t, w, r))
			}
			for _, found := range localLinks.FindAllStringSubmatch(text, -1) {
				target := strings.ReplaceAll(found[1], "&amp;", "&")
				kind := shape(target)
				if !seen[target] && kinds[kind] < 3 {
					seen[target] = true
					kinds[kind]++
					queue = append(queue, target)
				}
			}
		}
		require.Greater(t, len(seen), 20, as)
	}
}

// localLinks matches local links. shape is a link without what differs between elements of a list.
var (
	typed      = regexp.MustCompile(`(?s)<textarea.*?</textarea>| value="[^"]*"`) // what its owner edits
	localLinks = regexp.MustCompile(`href="(/[^/"#][^"#]*)`)
	unlike     = regexp.MustCompile(`sha256:[0-9a-f]+|=[^&]*|/r[0-9]+|/[a-z0-9]{16,}`)
)

func shape(target string) string { return unlike.ReplaceAllString(target, "") }

// parsed returns a recorded response as a test sees those of a site.
func parsed(t *testing.T, w *httptest.ResponseRecorder, r *http.Request) *response {
	t.Helper()
	a := &response{Response: w.Result(), body: w.Body.Bytes()}
	a.Request = r
	var err error
	a.doc, err = goquery.NewDocumentFromReader(bytes.NewReader(a.body))
	require.NoError(t, err)
	return a
}

// testPolicyEverywhere: pages, errors, redirects, files, streams and refusals have the headers that restrict a browser.
func testPolicyEverywhere(t *testing.T) {
	s := newEventSite(t)
	check := func(r *response, what string) {
		require.Contains(t, r.Header.Get("Content-Security-Policy"), "default-src 'none'", what)
		require.Contains(t, r.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'", what)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin"} {
			require.Equal(t, want, r.Header.Get(name), "%s: %s", what, name)
		}
	}
	for _, path := range []string{"/", "/nothing", "//", "/%zz", "/%2e%2e/", "/repositories/a/-/-",
		"/assets/x/page.css", "/assets/", "/language?to=en", "/theme?to=dark", "/events/stream?x=1",
		"/events/stream?after=%00", "/events?a=%zz"} {
		check(s.raw(t, "ann", "GET", path, ""), path)
		check(s.raw(t, "", "GET", path, ""), path)
		check(s.raw(t, "ann", "PUT", path, ""), path)
		check(s.raw(t, "ann", "POST", path, "", "Sec-Fetch-Site", "cross-site"), path)
	}
	for _, e := range []string{"page.css", "page.js", "icon.svg"} {
		found := regexp.MustCompile(`"/ui(/assets/[^"]*/` + e + `)"`).FindStringSubmatch(string(s.get(t, "", "/").body))
		if e != "icon.svg" {
			require.NotNil(t, found, e)
		}
		if found != nil {
			r := s.raw(t, "", "GET", found[1], "")
			require.Equal(t, 200, r.StatusCode)
			require.Contains(t, r.Header.Get("Content-Security-Policy"), "default-src 'none'")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/ui/events/stream", nil)
	require.NoError(t, err)
	r.SetBasicAuth("ann", password)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
	check(&response{Response: res}, "stream")
}

// testMethodOverride: no header, field or parameter makes a GET a change, or a POST another method.
func testMethodOverride(t *testing.T) {
	s, ids := newWalkSite(t)
	before := content(t, s.driver)
	for _, one := range s.samples(t, ids) {
		if one.method != http.MethodPost {
			continue
		}
		query := "?_method=POST&" + one.form
		s.raw(t, "boss", "GET", one.path+query, "", "X-HTTP-Method-Override", "POST", "X-HTTP-Method", "POST",
			"X-Method-Override", "POST")
	}
	require.Equal(t, before, content(t, s.driver))
}

// testReturnPaths: a link to the sign-in of the host, and those that come back, never name another host.
func testReturnPaths(t *testing.T) {
	s := newSite(t, func(_ *site, _ *api.Options, page *web.Options) {
		page.Path, page.SignInURL = "/", "/login"
	})
	for _, path := range []string{"//evil.example/", "//evil.example", "///evil.example", `/\evil.example`,
		"/%2f/evil.example", "/..//evil.example", "//evil.example/?a=b"} {
		r := httptest.NewRequest(http.MethodGet, "http://registry.example/", nil)
		target, query, _ := strings.Cut(path, "?")
		r.URL = &url.URL{Path: target, RawPath: target, RawQuery: query}
		w := httptest.NewRecorder()
		s.page.ServeHTTP(w, r)
		require.NotContains(t, w.Body.String(), "return=%2F%2F", path)
		require.NotContains(t, w.Header().Get("Location"), "return=%2F%2F", path)
		require.NotContains(t, w.Body.String(), "return=%2F%5C", path)
	}
}

// testAnyVersion: a form whose version is "*" or several changes nothing, for every view.
func testAnyVersion(t *testing.T) {
	s, ids := newWalkSite(t)
	before := content(t, s.driver)
	for _, one := range []sample{
		{"POST", "/repositories/acme/app/-/settings", "description=changed&visibility=public"},
		{"POST", "/users/bob/disable", ""}, {"POST", "/users/bob/profile", "fullName=x"},
		{"POST", "/users/bob/delete", "typed=bob"},
		{"POST", "/organisations/acme/teams/builders/delete", "typed=builders"},
		{"POST", "/repositories/acme/app/-/delete", "typed=acme/app"},
		{"POST", "/repositories/acme/app/-/restore", "tag=v1&to=DIGEST"},
	} {
		for _, version := range []string{"*", `"x", *`, `*, "x"`, `W/"x"`, `"x"`, "\"x\"\r\nX-A: b", `"`} {
			r := s.raw(t, "boss", "POST", one.path, ids.Replace(one.form)+"&version="+url.QueryEscape(version))
			require.NotContains(t, []int{200, 303}, r.StatusCode, "%s %s", one.path, version)
			require.Equal(t, before, content(t, s.driver), "%s %s", one.path, version)
		}
	}
}

// testRaces: of deletes, restores, retags and copies at the same time on two replicas, the result is that of one after
// the other: nobody gets a 500, and an image with a tag can be read.
func testRaces(t *testing.T) {
	d := memory.New(nil)
	one := newSiteOver(t, d, nil)
	two := newSiteAgain(t, d, nil)
	first := one.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	second := one.pushImage(t, "ann", "acme/app", "v2", amd64, "other")
	version := url.QueryEscape(`"` + first.String() + `"`)
	const path = "/repositories/acme/app/-/"
	for range 5 {
		var wg sync.WaitGroup
		for _, s := range []*site{one, two} {
			for _, form := range [][2]string{
				{"delete", "tag=v1&tag-version=" + version}, {"restore", "tag=v1&to=" + first.String() + "&version="},
				{"retag", "digest=" + first.String() + "&new=v1"},
				{"retag", "digest=" + second.String() + "&new=v1&seen=" + first.String()},
				{"copy", "digest=" + first.String() + "&to=acme/other&to-tag=v1"},
				{"delete", "typed=acme/app&version=" + version},
			} {
				wg.Go(func() {
					// A write that another one overtakes may not know whether it took place, and says so.
					if r := s.rawly(t, "ann", "POST", path+form[0], form[1]); r.StatusCode >= 500 {
						assert.Equal(t, 503, r.StatusCode, "%s", r.body)
						assert.Contains(t, string(r.body), "whether the tags were set is not known")
					}
				})
			}
		}
		wg.Wait()
		for _, s := range []*site{one, two} {
			for _, repo := range []string{"acme/app", "acme/other"} {
				m, err := s.store.StatManifest(t.Context(), repo, byTag("v1"), nil)
				if err == nil {
					_, err = s.store.GetManifest(t.Context(), repo, byTag("v1"))
					require.NoError(t, err)
					require.Contains(t, []string{first.String(), second.String()}, m.Digest.String())
				}
			}
		}
	}
}

// testSecretsAreNotKept: a secret is in one response, which no browser keeps, and in no URL.
func testSecretsAreNotKept(t *testing.T) {
	s := newSite(t, nil)
	form := s.get(t, "ann", "/users/ann/tokens/-/new")
	if form.StatusCode == http.StatusNotFound {
		form = s.get(t, "ann", "/tokens/-/new")
	}
	made := s.submit(t, "ann", form, "main form", "name", "ci", "days", "7")
	secret := regexp.MustCompile(`rkp_\w+`).FindString(string(made.body))
	require.NotEmpty(t, secret, string(made.body))
	require.Equal(t, "no-store", made.Header.Get("Cache-Control"))
	require.Empty(t, made.Header.Get("Location"))
	made.doc.Find("[href], [action], [src]").Each(func(_ int, e *goquery.Selection) {
		for _, name := range []string{"href", "action", "src"} {
			require.NotContains(t, e.AttrOr(name, ""), secret)
		}
	})
	for _, path := range []string{"/", "/tokens", "/users/ann/tokens", "/profile"} {
		require.NotContains(t, string(s.get(t, "ann", path).body), secret)
	}
}

// testManyStreams: streams of events beyond the maximum are refused, the page works without them, and clients that hang
// up leave nothing.
func testManyStreams(t *testing.T) {
	s := newSite(t, func(s *site, _ *api.Options, page *web.Options) {
		users, err := accounts.NewAuthenticator(s.people, nil)
		require.NoError(t, err)
		stream, err := sse.New(&sse.Options{Authenticator: users, Authorizer: accounts.NewAuthorizer(s.people),
			MaxClients: 20})
		require.NoError(t, err)
		t.Cleanup(stream.Close)
		page.Events = stream
	})
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func() int {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/ui/events/stream", nil)
		require.NoError(t, err)
		r.SetBasicAuth("ann", password)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { res.Body.Close() })
		return res.StatusCode
	}
	for range 20 {
		require.Equal(t, 200, open())
	}
	require.Equal(t, 503, open())
	began := time.Now()
	require.Equal(t, 200, s.get(t, "ann", "/events").StatusCode)
	require.Less(t, time.Since(began), 5*time.Second)
	cancel()
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+20 }, 10*time.Second, 10*time.Millisecond)
}
