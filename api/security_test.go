package api_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestSecurity has a row for each class of security bug of other registries that concerns the management API. The
// access of each route is in TestMatrix, and that of strangers in TestWalkRefusesStrangers. Packages auth/accounts,
// auth/session, auth/signin, notification/endpoints and audit have tests of their own.
func TestSecurity(t *testing.T) {
	for _, row := range []struct {
		class string
		test  func(t *testing.T)
	}{
		{"objects of another tenant by id", TestTokensOfOthers},
		{"a webhook of another tenant by a crafted id", TestWebhookScopes},
		{"a self-made admin by mass assignment", testMassAssignment},
		{"a token that makes one that can do more", TestTokenCannotExtendItself},
		{"a token that ends gives rights that last", testTokenOfAdmin},
		{"a token for pulls that manages", TestScopedTokenManagesNothing},
		{"a secret that outlives the disabling of its owner", TestDisabledAtOnce},
		{"a first admin with a known password", TestSetup},
		{"a name that looks like another one", TestTakenNames},
		{"passwords that can be guessed on a side road", TestOldPasswordCannotBeGuessed},
		{"CSRF with the cookie of a session", TestCrossOriginChange},
		{"CSRF with the password that a browser remembers", testBasicOfBrowsers},
		{"cookies on /v2/", TestSessionIsRefusedForPushesAndPulls},
		{"a lost update", TestIfMatchIsExact},
		{"a cursor that is forged, or of another caller", TestCursors},
		{"a removal that tells what exists", TestLeavingTellsNothing},
		{"the audit of a repository tells of others", testAuditOfOneRepository},
		{"a limit makes the server allocate or panic", testHugePages},
		{"bodies without a limit", testHugeBodies},
		{"a client that stalls holds a connection for ever", testStalledClients},
		{"forwarded headers believed from anyone", testForwardedHeaders},
		{"a GET or HEAD that writes", testReadsDoNotWrite},
		{"content that a browser runs", testBrowsers},
		{"errors tell what is inside", testErrorsTellNoCauses},
		{"a part served as the whole", testStreamIsCutOff},
		{"secrets in logs and audits", testSecretsInLogs},
		{"the credentials of a webhook sent to another host", testWebhookCredentials},
		{"a path that becomes another", testPathsAreNotRedirected},
	} {
		t.Run(row.class, row.test)
	}
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

// readerFunc is an io.Reader.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// testStalledClients: reads of a body and the response have deadlines, also for callers without a name.
func testStalledClients(t *testing.T) {
	s := newPeople(t)
	w, content, read := &deadlines{ResponseRecorder: httptest.NewRecorder()}, strings.NewReader("{}"), false
	r := httptest.NewRequest(http.MethodPost, "/v1/setup", readerFunc(func(p []byte) (int, error) {
		read = true
		require.False(t, w.read.IsZero(), "the read has no deadline")
		return content.Read(p)
	}))
	r.Header.Set("Content-Type", "application/json")
	s.api.ServeHTTP(w, r)
	require.True(t, read)
	require.Equal(t, 400, w.Code, w.Body)
	require.False(t, w.write.IsZero(), "the response has no deadline")
	require.True(t, w.read.IsZero(), "the deadline of the body would end the request")
	// A body that the handler does not read.
	w = &deadlines{ResponseRecorder: httptest.NewRecorder()}
	s.api.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/v1/parts", strings.NewReader("{}")))
	require.Equal(t, 200, w.Code)
	require.False(t, w.read.IsZero())
}

// testErrorsTellNoCauses: the error of a sink, which may contain addresses and paths, is not sent to clients.
func testErrorsTellNoCauses(t *testing.T) {
	s, faulty := withAudit(t)
	faulty.FailWrite(1)
	var p types.Problem
	s.do(t, "boss", "POST", "/v1/users", types.NewUser{Name: "cat", Password: password}).want(503).into(&p)
	require.Equal(t, "NOT_RECORDED", p.Code)
	require.Equal(t, "the change was made, but its event was not stored", p.Detail)
}

// testWebhookCredentials: who may change a webhook must not get the credentials that somebody else has given it, by
// sending them to another host.
func testWebhookCredentials(t *testing.T) {
	var hooks *endpoints.Endpoints
	s := newSite(t, withWebhooks(t, &hooks))
	var made types.WebhookWithSecret
	s.do(t, "boss", "POST", "/v1/webhooks?scope=namespace:acme", types.NewWebhook{Name: "CI",
		URL: "https://ci.example/a", Authorization: "Bearer sesame"}).want(201).into(&made)
	path := "/v1/webhooks/" + made.Webhook.ID
	for _, url := range []string{"https://evil.example/a", "http://ci.example/a", "https://ci.example:8443/a"} {
		s.do(t, "ann", "PATCH", path, map[string]string{"url": url}, "If-Match: *").fails(400, "INVALID")
	}
	for _, change := range []map[string]string{{"url": "https://CI.example:443/b"},
		{"url": "https://other.example/", "authorization": "Bearer other"},
		{"url": "https://another.example/", "authorization": ""}, {"url": "https://evil.example/a"}} {
		s.do(t, "ann", "PATCH", path, change, "If-Match: *").want(200)
	}
}

// testBasicOfBrowsers: a browser adds Basic credentials that it remembers to the requests of every page, also to those
// without a preflight. Such a page changes nothing.
func testBasicOfBrowsers(t *testing.T) {
	s := newPeople(t)
	const path = "/v1/users/bob/disable"
	for _, from := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
		"Origin: https://evil.example", "Origin: null"} {
		s.do(t, "boss", "POST", path, nil, from).fails(403, "DENIED")
	}
	s.do(t, "boss", "GET", "/v1/users/bob", nil, "Sec-Fetch-Site: cross-site").want(200)
	s.do(t, "boss", "POST", path, nil, "Sec-Fetch-Site: same-origin").want(200)
	s.do(t, "boss", "POST", path, nil).want(200)
}

// testAuditOfOneRepository: who manages a repository does not see from which others somebody has mounted a blob.
func testAuditOfOneRepository(t *testing.T) {
	s, _ := withAudit(t)
	mount := notification.Event{ID: "mount", Time: time.Now(), Action: notification.Mount, Kind: notification.Blob,
		Repository: "acme/app", From: "bob/secret", Actor: "bob"}
	require.NoError(t, s.trail.Notify(t.Context(), []notification.Event{mount}))
	s.trail.Decided(t.Context(), auth.Decision{Err: auth.ErrDenied, Accesses: []auth.Access{
		{Type: auth.TypeRepository, Name: "acme/app", Action: auth.Push},
		{Type: auth.TypeRepository, Name: "bob/secret", Action: auth.Pull}}})
	require.NoError(t, s.trail.Flush(t.Context()))
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	for _, path := range []string{"/v1/audit?repository=acme%2Fapp",
		"/v1/audit/export?repository=acme%2Fapp&since=" + since} {
		own := s.do(t, "ann", "GET", path, nil).want(200)
		require.Equal(t, 2, strings.Count(string(own.body), `"repository":"acme/app"`))
		require.Contains(t, string(own.body), "repository:acme/app:push")
		require.NotContains(t, string(own.body), "secret")
		require.Contains(t, string(s.do(t, "boss", "GET", path, nil).want(200).body), `"from":"bob/secret"`)
	}
}

// testPathsAreNotRedirected: no path leads to another one, however it is encoded.
func testPathsAreNotRedirected(t *testing.T) {
	s := newPeople(t)
	for _, path := range []string{"//v1/users/ann", "/v1//users", "/v1/users/", "/v1/./users", "/v1/users/../users",
		"/%2e%2e/v1", "/v1%2Fusers", "/x"} {
		s.do(t, "boss", "GET", path, nil).fails(404, "NOT_FOUND")
	}
	w := httptest.NewRecorder() // behind StripPrefix
	r := httptest.NewRequest(http.MethodGet, "/api%2Fv1/users/ann", nil)
	http.StripPrefix("/api", s.api).ServeHTTP(w, r)
	require.Equal(t, 404, w.Code, w.Header())
}

// testMassAssignment: fields that a caller may not set are errors, and not ignored or set.
func testMassAssignment(t *testing.T) {
	s := newSite(t, func(s *site, opts *api.Options) {
		opts.Accounts = s.people
		var err error
		opts.SignUp, err = accounts.NewSignUps(s.people, &accounts.SignUpOptions{Attempts: 100})
		require.NoError(t, err)
	})
	for _, field := range []string{`"admin":true`, `"kind":"organisation"`, `"id":"aaaaaaaaaaaaaaaa"`, `"groups":["acme"]`,
		`"disabled":{}`, `"Name":"boss"`, `"name":"boss"`, `"visibility":"public","owners":["cat"]`} {
		body := fmt.Sprintf(`{"name":"cat","password":%q,%s}`, password, field)
		s.do(t, "", "POST", "/v1/signup", body).fails(400, "INVALID")
		s.do(t, "ann", "PATCH", "/v1/users/ann", "{"+field+"}", "If-Match: *").fails(400, "INVALID")
		s.do(t, "ann", "PATCH", "/v1/organisations/acme", "{"+field+"}", "If-Match: *").fails(400, "INVALID")
		s.do(t, "ann", "POST", "/v1/accounts/ann/tokens", `{"name":"x",`+field+`}`).fails(400, "INVALID")
	}
	s.do(t, "boss", "GET", "/v1/users/cat", nil).fails(404, "NOT_FOUND")
}

// testHugePages: lengths of pages are numbers in a range, and larger ones than Options.PageSize count as that.
func testHugePages(t *testing.T) {
	s := newPeople(t)
	for _, path := range []string{"/v1/users", "/v1/organisations", "/v1/repositories", "/v1/users/ann/memberships"} {
		for _, limit := range []string{"0", "-1", "x", "1e3", "99999999999999999999", "%00"} {
			s.do(t, "boss", "GET", path+"?limit="+limit, nil).fails(400, "INVALID")
		}
		s.do(t, "boss", "GET", path+"?limit=1000", nil).want(200)
	}
}

// testHugeBodies: a body has at most 1 MiB, also if it states no length.
func testHugeBodies(t *testing.T) {
	s := newPeople(t)
	for _, hide := range []bool{false, true} {
		var body io.Reader = strings.NewReader(`{"name":"` + strings.Repeat("x", 1<<20) + `"}`)
		if hide {
			body = io.MultiReader(body)
		}
		r := httptest.NewRequest(http.MethodPost, "/v1/organisations", body)
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth("ann", password)
		w := httptest.NewRecorder()
		s.api.ServeHTTP(w, r)
		require.Equal(t, 413, w.Code, w.Body)
	}
}

// testForwardedHeaders: links are relative, and the audit has the peer of the connection, whatever a client states.
func testForwardedHeaders(t *testing.T) {
	s, _ := withAudit(t)
	for _, headers := range [][]string{{"X-Forwarded-Host: evil.example"}, {"X-Forwarded-For: 192.0.2.1"},
		{"X-Forwarded-Prefix: //evil.example"}, {"Forwarded: host=evil.example;for=192.0.2.1"}} {
		made := s.do(t, "ann", "POST", "/v1/accounts/ann/tokens", types.NewToken{Name: "x"}, headers...).want(201)
		require.Regexp(t, "^/api/v1/accounts/ann/tokens/", made.header.Get("Location"))
		page := s.do(t, "boss", "GET", "/v1/users?limit=1", nil, headers...).want(200)
		require.Regexp(t, "^</api/v1/users\\?", page.header.Get("Link"))
		s.do(t, "boss", "POST", "/v1/jobs/audit/run", nil, headers...).want(202)
	}
	for _, r := range s.audit(t, "boss", "action=request") {
		require.Equal(t, "127.0.0.1", r.Request.Address)
	}
}

// testReadsDoNotWrite: no GET or HEAD changes an object of the storage.
func testReadsDoNotWrite(t *testing.T) {
	s := newPeople(t)
	stored := func() map[string]string {
		all := map[string]string{}
		for info, err := range s.driver.List(t.Context(), "", nil) {
			require.NoError(t, err)
			all[info.Key] = info.Version
		}
		return all
	}
	before := stored()
	for _, route := range s.api.Routes() {
		method, path, _ := strings.Cut(route, " ")
		if method != http.MethodGet {
			continue
		}
		path = regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllStringFunc(path, func(param string) string {
			return map[string]string{"{organisation}": "acme", "{repository}": "ann%2Fapp"}[param] +
				map[bool]string{true: "ann"}[param != "{organisation}" && param != "{repository}"]
		})
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			r := httptest.NewRequest(method, path, nil)
			r.SetBasicAuth("boss", password)
			w := httptest.NewRecorder()
			s.api.ServeHTTP(w, r)
			require.Less(t, w.Code, 500, path)
		}
	}
	require.Equal(t, before, stored())
}

// testBrowsers: a browser takes no response for a page, and keeps none.
func testBrowsers(t *testing.T) {
	s := newPeople(t)
	for _, path := range []string{"/v1/openapi.json", "/v1/parts", "/v1/users/%3Cscript%3E", "/v1/x",
		"/v1/users?limit=%3Cb%3E"} {
		a := s.do(t, "boss", "GET", path, nil)
		require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-store", a.header.Get("Cache-Control"), path)
		require.Regexp(t, "^application/(problem\\+)?json$", a.header.Get("Content-Type"), path)
		require.NotContains(t, string(a.body), "<", path)
	}
}

// testSecretsInLogs: neither passwords nor values of tokens are in the log and the audit, also after mistakes.
func testSecretsInLogs(t *testing.T) {
	var log bytes.Buffer
	var faulty *drivertest.Faulty
	s := newSite(t, func(s *site, opts *api.Options) {
		faulty = drivertest.NewFaulty(s.driver, nil)
		var err error
		s.trail, err = audit.New(faulty, &audit.Options{})
		require.NoError(t, err)
		opts.Accounts, opts.Audit, opts.Logger = s.people, s.trail, slog.New(slog.NewTextHandler(&log, nil))
	})
	const secret = "a-secret-that-nobody-may-read"
	made, bearer := s.token(t, "ann", "ann", types.NewToken{Name: "x"})
	s.do(t, "", "GET", "/v1/users", nil, bearer).fails(403, "DENIED")
	s.do(t, "", "GET", "/v1/user", nil, bearer+"x").fails(401, "UNAUTHORIZED")
	s.do(t, "boss", "PUT", "/v1/users/bob/password", types.Password{Password: secret}, "If-Match: *").want(204)
	change := types.PasswordChange{Old: secret, New: secret}
	s.do(t, "boss", "PUT", "/v1/user/password", change).fails(403, "WRONG_PASSWORD")
	faulty.FailWrite(1)
	s.do(t, "boss", "POST", "/v1/users", types.NewUser{Name: "cat", Password: secret}).fails(503, "NOT_RECORDED")
	require.NoError(t, s.trail.Flush(t.Context()))
	export := "/v1/audit/export?since=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	all := log.String() + string(s.do(t, "boss", "GET", export, nil).want(200).body)
	require.Contains(t, all, "injected failure", "the log is empty")
	for _, text := range []string{secret, made.Value, password} {
		require.NotContains(t, all, text)
	}
}

// testTokenOfAdmin: with a token of an admin that ends, nobody makes an admin or a user with a password, who would
// stay.
func testTokenOfAdmin(t *testing.T) {
	s := newPeople(t)
	_, short := s.token(t, "boss", "boss", types.NewToken{Name: "short", Expires: time.Now().Add(time.Hour).UTC()})
	_, forever := s.token(t, "boss", "boss", types.NewToken{Name: "forever"})
	withPassword := types.NewUser{Name: "cat", Password: password}
	s.do(t, "", "PUT", "/v1/admins/bob", nil, short).fails(403, "DENIED")
	s.do(t, "", "POST", "/v1/users", withPassword, short).fails(403, "DENIED")
	s.do(t, "", "POST", "/v1/users", types.NewUser{Name: "dan"}, short).want(201)
	s.do(t, "", "PUT", "/v1/admins/bob", nil, forever).want(204)
	s.do(t, "", "POST", "/v1/users", withPassword, forever).want(201)
}

// testStreamIsCutOff: a panic in the middle of a response does not end it as if it were complete.
func testStreamIsCutOff(t *testing.T) {
	w := httptest.NewRecorder()
	s := newSite(t, func(s *site, opts *api.Options) {
		storage := drivertest.NewFaulty(s.driver, &drivertest.FaultyOptions{
			Before: func(context.Context, drivertest.Call) error {
				if w.Body.Len() > 0 {
					panic("in the middle")
				}
				return nil
			}})
		var err error
		s.trail, err = audit.New(storage, nil)
		require.NoError(t, err)
		opts.Accounts, opts.Audit = s.people, s.trail
	})
	events := make([]notification.Event, 1001) // more than an export reads at once
	for i := range events {
		events[i] = notification.Event{ID: notification.NewID(), Time: time.Now(), Action: notification.Push}
	}
	require.NoError(t, s.trail.Notify(t.Context(), events))
	since := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	r := httptest.NewRequest(http.MethodGet, "/v1/audit/export?since="+since, nil)
	r.SetBasicAuth("boss", password)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { s.api.ServeHTTP(w, r) })
	require.NotContains(t, w.Body.String(), "about:blank")
}
