package site_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/examples/hub/config"
	"github.com/registrykit/registry/examples/hub/site"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

const password = "correct horse battery staple"

// hub is a running hub.
type hub struct {
	*site.Hub
	t     *testing.T
	url   string
	log   *locked
	spans *tracetest.SpanRecorder
}

// locked is a buffer that several goroutines write.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a hub with the fields in yaml.
func start(t *testing.T, d driver.Driver, yaml string) *hub {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte("history: 1h\n"+yaml))
	require.NoError(t, err)
	h := &hub{t: t, log: &locked{}, spans: tracetest.NewSpanRecorder()}
	h.Hub, err = site.New(t.Context(), &site.Options{Config: c, Driver: d, Addr: "127.0.0.1:0",
		Spans: sdk.NewTracerProvider(sdk.WithSpanProcessor(h.spans)), Log: slog.New(slog.NewTextHandler(h.log, nil))})
	require.NoError(t, err)
	server := httptest.NewServer(h)
	h.url = server.URL
	ctx, stop := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { h.Run(ctx) })
	ended.Go(func() { h.Deliver(ctx) })
	t.Cleanup(func() {
		server.Close()
		stop()
		ended.Wait()
	})
	return h
}

// do sends a request. user may be "". body is a form, a value for JSON, or nil.
func (h *hub) do(user, method, path string, body any, headers ...string) (*http.Response, string) {
	h.t.Helper()
	var content io.Reader
	contentType := "application/json"
	switch b := body.(type) {
	case nil:
	case url.Values:
		content, contentType = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	default:
		text, err := json.Marshal(b)
		require.NoError(h.t, err)
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, content)
	require.NoError(h.t, err)
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Set(headers[i], headers[i+1]); headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(h.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	return res, string(text)
}

// setUp makes the admin ann, by the page, and the user bob, by sign-up.
func (h *hub) setUp() {
	h.t.Helper()
	token, err := h.SetupToken(h.t.Context())
	require.NoError(h.t, err)
	res, text := h.do("", "POST", "/setup", url.Values{"token": {token.Value()}, "name": {"ann"}, "password": {password},
		"again": {password}})
	require.Equal(h.t, 303, res.StatusCode, text)
	res, text = h.do("", "POST", "/api/v1/signup", types.SignUp{Name: "bob", Password: password})
	require.Equal(h.t, 201, res.StatusCode, text)
}

// backend returns a client of the registry.
func (h *hub) backend(user string) *client.Client {
	h.t.Helper()
	l, err := login.New(h.url, &login.Options{Source: login.Static(login.Credentials{Username: user, Password: password})})
	require.NoError(h.t, err)
	b, err := client.New(h.url, &client.Options{Authorize: l.Authorize, Challenge: l.Challenge})
	require.NoError(h.t, err)
	return b
}

// TestHub: a user signs up and pushes, others pull what is public, and everything has metrics, spans and records.
func TestHub(t *testing.T) {
	d, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	h := start(t, d, "")
	h.setUp()
	require.NotContains(t, h.log.String(), password)

	image := registrytest.RandomImage(1, 1, 1000)
	require.NoError(t, image.Push(t.Context(), h.backend("bob"), "bob/app", "v1"))
	require.Error(t, image.Push(t.Context(), h.backend("bob"), "ann/app", "v1"))
	_, err = h.backend("bob").GetManifest(t.Context(), "bob/app", reference.Ref{Tag: "v1"})
	require.NoError(t, err)

	res, text := h.do("", "GET", "/api/v1/parts", nil)
	require.Equal(t, 200, res.StatusCode)
	var parts types.PartList
	require.NoError(t, json.Unmarshal([]byte(text), &parts))
	require.ElementsMatch(t, []string{"description", "caller", "password", "signup", "setup", "users", "links", "admins",
		"tokens", "organisations", "teams", "robots", "sessions", "repositories", "settings", "tags", "manifests", "images",
		"history", "bin", "deletion", "copies",
		"search", "rules", "explain", "usage", "quota", "retention", "scrub", "webhooks", "jobs", "mirror",
		"audit"}, parts.Items)
	res, text = h.do("bob", "GET", "/api/v1/repositories/bob%2Fapp/tags", nil)
	require.Equal(t, 200, res.StatusCode, text)
	require.Contains(t, text, `"v1"`)
	res, _ = h.do("", "GET", "/api/v1/repositories/bob%2Fapp/tags", nil)
	require.Equal(t, 401, res.StatusCode)

	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, text := h.do("ann", "GET", "/api/v1/audit?repository=bob%2Fapp", nil)
		assert.Contains(c, text, `"bob"`, "the push is in the audit log")
	}, 20*time.Second, 100*time.Millisecond)

	names := map[string]bool{}
	for _, s := range h.spans.Ended() {
		names[s.Name()] = true
	}
	require.True(t, names["PutManifest"] && names["request"], names)
}

// TestSecretPaths: neither the log nor a span has a setup token or the id of an upload, and both paths still work.
func TestSecretPaths(t *testing.T) {
	h := start(t, memory.New(nil), "server: {logLevel: debug}")
	token, err := h.SetupToken(t.Context())
	require.NoError(t, err)
	res, _ := h.do("", "GET", "/setup?token="+token.Value(), nil)
	require.Equal(t, 303, res.StatusCode)
	require.Equal(t, "/setup", res.Header.Get("Location"), "the form has no token in its URL")
	h.setUp()
	require.NoError(t, registrytest.RandomImage(1, 1, 1000).Push(t.Context(), h.backend("bob"), "bob/app", "v1"))

	paths := map[string]bool{}
	for _, s := range h.spans.Ended() {
		for _, a := range s.Attributes() {
			if a.Key == "url.path" {
				paths[a.Value.AsString()] = true
			}
			require.NotContains(t, a.Value.Emit(), token.Value())
		}
	}
	require.True(t, paths["/setup"] && paths["/v2/bob/app/blobs/uploads/<id>"], paths)
	require.NotContains(t, h.log.String(), token.Value())
}

// TestMirrorNames: nobody can take an account whose namespace is one of the mirror, and an account that exists keeps
// the hub from starting with such an upstream.
func TestMirrorNames(t *testing.T) {
	const upstreams = "mirror:\n  upstreams:\n  - name: registry.example:5000\n    prefix: example/all\n" +
		"    aliases: [other]\n    urls: [https://registry.example]\n"
	d := memory.New(nil)
	h := start(t, d, upstreams)
	h.setUp()
	for _, name := range []string{"example", "ex-ample", "other"} {
		res, text := h.do("", "POST", "/api/v1/signup", map[string]string{"name": name, "password": password})
		require.Equal(t, 409, res.StatusCode, text)
		res, text = h.do("bob", "POST", "/api/v1/organisations", map[string]string{"name": name})
		require.Equal(t, 409, res.StatusCode, text)
	}
	c, err := config.Parse("test.yaml", []byte(strings.ReplaceAll(upstreams, "example/all", "bob")))
	require.NoError(t, err)
	_, err = site.New(t.Context(), &site.Options{Config: c, Driver: d, Addr: "127.0.0.1:0",
		Spans: sdk.NewTracerProvider(), Log: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, `the account "bob" owns the repositories below "bob"`)
}

// TestMetrics: only admins read the metrics, except on an address of their own.
func TestMetrics(t *testing.T) {
	h := start(t, memory.New(nil), "")
	h.setUp()
	res, _ := h.do("", "GET", "/metrics", nil)
	require.Equal(t, 401, res.StatusCode)
	require.NotEmpty(t, res.Header.Get("WWW-Authenticate"))
	res, _ = h.do("bob", "GET", "/metrics", nil)
	require.Equal(t, 403, res.StatusCode)
	res, text := h.do("ann", "GET", "/metrics", nil)
	require.Equal(t, 200, res.StatusCode)
	require.Contains(t, text, `registry_http_seconds_count{method="POST",part="page",status="303"} 1`)
	require.Contains(t, text, `registry_storage_seconds_count{call="put",result="ok"}`)
	w := httptest.NewRecorder()
	h.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Contains(t, w.Body.String(), "registry_events_pending")
}

// TestPages: each path has its part, and pages of other origins and names are refused.
func TestPages(t *testing.T) {
	h := start(t, memory.New(nil), "")
	for _, row := range []struct {
		path, header, value string
		status              int
	}{
		{"/sign-in", "", "", 200}, {"/nothing", "", "", 404}, {"/healthz", "", "", 200}, {"/readyz", "", "", 200},
		{"/v2/", "", "", 401}, {"/v2", "", "", 401}, {"/api/v1/openapi.json", "", "", 200}, {"/api/v1/x", "", "", 404},
		{"/signin/", "", "", 200}, {"/setup", "", "", 200}, {"/", "Host", "evil.example", 403},
		{"/api/v1/parts", "Host", "evil.example", 403}, {"/setup", "Host", "evil.example", 403},
		{"/healthz", "Host", "evil.example", 200}, {"/v2/", "Host", "evil.example", 401},
	} {
		res, text := h.do("", "GET", row.path, nil, headers(row.header, row.value)...)
		require.Equal(t, row.status, res.StatusCode, "%+v %s", row, text)
	}
	_, text := h.do("", "GET", "/sign-in", nil)
	require.Contains(t, text, "<title>Sign in · Hub</title>")
	for _, path := range []string{"/api/v1/signup", "/signin/password"} {
		res, text := h.do("", "POST", path, url.Values{"token": {"x"}}, "Sec-Fetch-Site", "cross-site")
		require.Equal(t, 403, res.StatusCode, path)
		require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
		require.Contains(t, text, `"code":"CROSS_ORIGIN"`)
	}
	for _, path := range []string{"/setup", "/sign-up", "/profile"} {
		res, text := h.do("", "POST", path, url.Values{"token": {"x"}}, "Sec-Fetch-Site", "cross-site")
		require.Equal(t, 403, res.StatusCode, path)
		require.Contains(t, text, "another origin")
	}
}

func headers(name, value string) []string {
	if name == "" {
		return nil
	}
	return []string{name, value}
}

// TestOff: parts that the configuration turns off are absent.
func TestOff(t *testing.T) {
	h := start(t, memory.New(nil),
		"mirror: {}\naccounts: {signUp: false}\nevents: {userWebhooks: false}\naudit: {keep: 0}\n")
	_, text := h.do("", "GET", "/api/v1/parts", nil)
	for _, part := range []string{"mirror", "signup", "webhooks", "audit"} {
		require.NotContains(t, text, `"`+part+`"`)
	}
}

// TestReplicas: two hubs on one storage accept each other's sessions and tokens, and a new start kills the setup token
// of an earlier one.
func TestReplicas(t *testing.T) {
	d := memory.New(nil)
	one, two := start(t, d, ""), start(t, d, "")
	old, err := one.SetupToken(t.Context())
	require.NoError(t, err)
	two.setUp()
	res, _ := one.do("", "POST", "/setup", url.Values{"token": {old.Value()}, "name": {"eve"}, "password": {password},
		"again": {password}})
	require.Equal(t, 403, res.StatusCode)
	token, err := one.SetupToken(t.Context())
	require.NoError(t, err)
	require.Empty(t, token)

	image := registrytest.RandomImage(2, 1, 1000)
	require.NoError(t, image.Push(t.Context(), one.backend("bob"), "bob/app", "v1"))
	_, err = two.backend("bob").GetManifest(t.Context(), "bob/app", reference.Ref{Tag: "v1"})
	require.NoError(t, err)
	_, body := one.do("bob", "GET", "/v2/token?service=registry&scope=repository:bob/app:pull", nil)
	var answer struct{ Token string }
	require.NoError(t, json.Unmarshal([]byte(body), &answer))
	res, _ = two.do("", "GET", "/v2/bob/app/manifests/v1", nil, "Authorization", "Bearer "+answer.Token)
	require.Equal(t, 200, res.StatusCode)
}

// TestSpansHaveNoSecrets: neither the setup token, nor the id of an upload, nor a query is in a span.
func TestSpansHaveNoSecrets(t *testing.T) {
	h := start(t, memory.New(nil), "mirror: {}")
	token, err := h.SetupToken(t.Context())
	require.NoError(t, err)
	res, text := h.do("", "GET", "/setup?token="+token.Value(), nil)
	require.Equal(t, 303, res.StatusCode)
	require.NotContains(t, text, token.Value())
	h.do("", "PATCH", "/v2/ann/app/blobs/uploads/the-upload", nil)
	h.do("", "GET", "/signin/oidc/company/callback?code=the-code", nil)
	for _, span := range h.spans.Ended() {
		for _, a := range span.Attributes() {
			for _, secret := range []string{token.Value(), "the-upload", "the-code"} {
				require.NotContains(t, a.Value.Emit(), secret, a.Key)
			}
		}
	}
	require.NotEmpty(t, h.spans.Ended())
	require.NotContains(t, h.log.String(), token.Value())
}

// TestReservedNames: nobody can own the repositories of a mirrored registry, or get the rights of a group of a rule, by
// a name.
func TestReservedNames(t *testing.T) {
	h := start(t, memory.New(nil), "accounts: {reserved: [releasers]}\nmirror:\n  upstreams:\n"+
		"    - {name: registry.corp.example, prefix: corp/hub, urls: [https://registry.corp.example], aliases: [old]}\n")
	h.setUp()
	for _, name := range []string{"corp", "c0rp", "old", "releasers"} {
		res, text := h.do("", "POST", "/api/v1/signup", types.SignUp{Name: name, Password: password})
		require.Equal(t, 409, res.StatusCode, text)
		res, text = h.do("bob", "POST", "/api/v1/organisations", types.NewOrganisation{Name: name})
		require.Equal(t, 409, res.StatusCode, text)
	}
}
