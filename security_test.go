package registry_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

// TestSecurity has a row for each class of security bug of other registries that concerns this
// package. The storage has tests of its own.
func TestSecurity(t *testing.T) {
	for _, row := range []struct {
		class string
		test  func(t *testing.T)
	}{
		{"a route that forgets to ask", TestRouteAccess},
		{"an upload usable by who knows its id", testUploadOwner},
		{"push is enough to delete", testPushIsNotDelete},
		{"a tag exempt from the overwrite rule", testOverwrite},
		{"a tag in the query that is not checked", testTagsOfQuery},
		{"a blob of an unreadable repository through deduplication", testDeduplication},
		{"a mount without pull on the source", testMountAccess},
		{"a delete switch enforced in one handler of two", TestDeletesDisabled},
		{"n makes the server allocate or panic", testHugePage},
		{"bodies without a limit", TestManifestTooLarge},
		{"blobs without a limit", TestMaxBlobSize},
		{"many ranges amplify", TestBlobRead},
		{"the server fetches the urls of layers", testForeignLayers},
		{"content that a browser runs", testBrowser},
		{"forwarded headers believed from anyone", testForwarded},
		{"a GET or HEAD that writes", testReadsDoNotWrite},
		{"a stalled client blocks all", TestSlowClientsBlockNobody},
		{"lists and refusals tell of what may not be read", testCatalogFiltered},
		{"the link to the next page tells of what may not be read", TestCatalogFewVisibleOfManyIsBounded},
		{"a list tells of tags that may not be pulled", TestTagsHideTagsWithoutPull},
		{"secrets in logs", testSecretsInLogs},
		{"a part served as the whole", TestIncompleteResponseIsCutOff},
		{"a path that becomes another", TestHostilePaths},
		{"cookies on /v2/", testNoCookies},
	} {
		t.Run(row.class, row.test)
	}
}

// asPrincipals returns a registry with the callers p, its store, and a function that sends requests
// as one of the callers.
func asPrincipals(t *testing.T, p principals) (*registrytest.Server, func(name string) *client) {
	s := registrytest.NewServer(t, &registry.Options{Authenticator: p, Authorizer: p})
	return s, func(name string) *client {
		c := newClient(t, s.URL)
		c.http.Transport = asPrincipal{name, c.http.Transport}
		return c
	}
}

type asPrincipal struct {
	name string
	next http.RoundTripper
}

func (a asPrincipal) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Principal", a.name)
	return a.next.RoundTrip(r)
}

func testUploadOwner(t *testing.T) {
	_, as := asPrincipals(t, principals{"alice": {"*"}, "eve": {"*"}, "": {"*"}})
	alice := as("alice")
	content := []byte("content")
	d := "?digest=" + string(digest.FromBytes(content))
	location := alice.want(202, "PATCH", alice.startUpload("a"), content).Header.Get("Location")
	for _, name := range []string{"eve", ""} {
		c := as(name)
		for method, query := range map[string]string{"GET": "", "PATCH": "", "PUT": d, "DELETE": ""} {
			c.refused(404, "BLOB_UPLOAD_UNKNOWN", method, location+query, content)
		}
	}
	for method, query := range map[string]string{"GET": "", "PATCH": "", "PUT": d, "DELETE": ""} {
		alice.refused(404, "BLOB_UPLOAD_UNKNOWN", method, strings.Replace(location, "/v2/a/", "/v2/b/", 1)+query, content)
	}
	alice.want(204, "GET", location, nil).standsAt(t, "6")
	alice.want(201, "PUT", location+d, nil)
}

func testPushIsNotDelete(t *testing.T) {
	_, as := asPrincipals(t, principals{"writer": {"repository:a:push", "repository:a:pull", "repository:a:overwrite"}})
	c := as("writer")
	img := registrytest.RandomImage(1, 1, 10)
	c.push("a", img, "v1")
	for _, path := range []string{"manifests/v1", "manifests/" + string(img.Descriptor.Digest),
		"blobs/" + string(digest.FromBytes(img.Blobs[0]))} {
		c.refused(403, "DENIED", "DELETE", "/v2/a/"+path, nil)
		c.want(200, "HEAD", "/v2/a/"+path, nil)
	}
}

func testOverwrite(t *testing.T) {
	_, as := asPrincipals(t, principals{"writer": {"repository:a:push", "repository:a:pull"}})
	c := as("writer")
	one, two := registrytest.RandomImage(1, 1, 10), registrytest.RandomImage(2, 1, 10)
	for _, tag := range []string{"v1", "latest"} {
		c.push("a", one, tag)
		c.push("a", one, tag) // a push of the same manifest is no overwrite
		c.push("a", two)
		for _, path := range []string{tag, string(two.Descriptor.Digest) + "?tag=" + tag,
			string(two.Descriptor.Digest) + "?tag=new&tag=" + tag} {
			c.refused(409, "DENIED", "PUT", "/v2/a/manifests/"+path, two.Manifest)
		}
		require.Equal(t, one.Manifest, c.want(200, "GET", "/v2/a/manifests/"+tag, nil).body)
	}
}

func testTagsOfQuery(t *testing.T) {
	s := registrytest.NewServer(t, &registry.Options{
		Authorizer: auth.AuthorizerFunc(func(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
			for _, a := range accesses {
				if a.Tag == "prod" && a.Action != auth.Pull {
					return auth.ErrDenied
				}
			}
			return nil
		}),
		Authenticator: principals{},
	})
	c := newClient(t, s.URL)
	c.http.Transport = asPrincipal{"somebody", c.http.Transport}
	img := registrytest.RandomImage(1, 1, 10)
	c.push("a", img)
	for _, path := range []string{"prod", string(img.Descriptor.Digest) + "?tag=prod",
		string(img.Descriptor.Digest) + "?tag=dev&tag=prod"} {
		c.refused(403, "DENIED", "PUT", "/v2/a/manifests/"+path, img.Manifest)
	}
	require.JSONEq(t, `{"name":"a","tags":[]}`, string(c.want(200, "GET", "/v2/a/tags/list", nil).body))
}

func testDeduplication(t *testing.T) {
	s, as := asPrincipals(t, principals{"eve": {"repository:open:*"}})
	ctx := context.Background()
	img := registrytest.RandomImage(1, 1, 100_000)
	require.NoError(t, img.Push(ctx, s.Store, "closed", "v1"))
	c := as("eve")
	for _, blob := range img.Blobs {
		d := string(digest.FromBytes(blob))
		c.want(404, "HEAD", "/v2/open/blobs/"+d, nil)
		c.refused(404, "BLOB_UNKNOWN", "GET", "/v2/open/blobs/"+d, nil)
		c.refused(403, "DENIED", "GET", "/v2/closed/blobs/"+d, nil)
	}
	c.refused(400, "MANIFEST_BLOB_UNKNOWN", "PUT", "/v2/open/manifests/v1", img.Manifest)
	c.refused(404, "MANIFEST_UNKNOWN", "GET", "/v2/open/manifests/"+string(img.Descriptor.Digest), nil)
}

func testMountAccess(t *testing.T) {
	s, as := asPrincipals(t, principals{"eve": {"repository:open:*"},
		"alice": {"repository:open:*", "repository:closed:pull"}})
	d, err := registry.PushBlob(context.Background(), s.Store, "closed", "", strings.NewReader("secret"))
	require.NoError(t, err)
	mount := "/v2/open/blobs/uploads/?mount=" + string(d.Digest)
	for _, query := range []string{"&from=closed", "", "&from=nothing"} {
		a := as("eve").want(202, "POST", mount+query, nil)
		require.NotEmpty(t, a.Header.Get("Location"))
	}
	as("eve").want(404, "HEAD", "/v2/open/blobs/"+string(d.Digest), nil)
	as("eve").refused(403, "DENIED", "POST", "/v2/closed/blobs/uploads/?from=open&mount="+string(d.Digest), nil)
	as("alice").want(201, "POST", mount, nil)
	as("alice").want(201, "POST", mount+"&from=closed", nil)
}

func testHugePage(t *testing.T) {
	_, c := newRegistry(t, nil)
	c.push("a", registrytest.RandomImage(1, 1, 10), "v1")
	for _, n := range []string{"0", "1", "2147483648", "9223372036854775807", "9223372036854775808", digits} {
		c.want(200, "GET", "/v2/a/tags/list?n="+n, nil)
		c.want(200, "GET", "/v2/_catalog?n="+n, nil)
	}
}

func testForeignLayers(t *testing.T) {
	var asked atomic.Int64
	elsewhere := startServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	_, c := newRegistry(t, nil)
	c.pushBlob("a", []byte("{}"))
	content := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
		`"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"` +
		string(digest.FromString("{}")) + `","size":2},` +
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"` +
		sha256Zeros + `","size":5,"urls":["` + elsewhere + `/layer"]}]}`
	c.want(201, "PUT", "/v2/a/manifests/v1", content)
	c.want(200, "GET", "/v2/a/manifests/v1", nil)
	c.refused(404, "BLOB_UNKNOWN", "GET", "/v2/a/blobs/"+sha256Zeros, nil)
	require.Zero(t, asked.Load())
}

func testBrowser(t *testing.T) {
	_, c := newRegistry(t, nil)
	d := c.pushBlob("a", []byte("<script>alert(1)</script>"))
	c.push("a", registrytest.RandomImage(1, 1, 10), "v1")
	a := c.want(200, "GET", "/v2/a/blobs/"+string(d), nil)
	require.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"))
	for _, path := range []string{"/v2/a/blobs/" + string(d), "/v2/a/manifests/v1", "/v2/a/tags/list",
		"/v2/<script>/tags/list", "/v2/"} {
		a := c.do("GET", path, nil, "Cookie: session=1", "Origin: https://evil.example")
		require.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		require.Empty(t, a.Header.Get("Set-Cookie"))
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"))
		if path == "/v2/a/manifests/v1" {
			require.Equal(t, "default-src 'none'; sandbox", a.Header.Get("Content-Security-Policy"))
		}
	}
}

func testForwarded(t *testing.T) {
	_, c := newRegistry(t, nil)
	a := c.want(202, "POST", "/v2/a/blobs/uploads/", nil, "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: gopher",
		"X-Forwarded-Prefix: /evil",
		"Forwarded: host=evil.example", "X-Original-URL: /evil", "Host: evil.example")
	require.True(t, strings.HasPrefix(a.Header.Get("Location"), "/v2/a/blobs/uploads/"))
}

func testReadsDoNotWrite(t *testing.T) {
	var mu sync.Mutex
	var wrote []registry.OpKind
	s := registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{
		func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
			if op.Write() && op.Kind != registry.OpResumeUpload { // looks up an upload
				mu.Lock()
				wrote = append(wrote, op.Kind)
				mu.Unlock()
			}
			return next(ctx)
		}}})
	img := registrytest.RandomImage(1, 1, 10)
	require.NoError(t, img.Push(context.Background(), s.Store, "a", "v1"))
	c := newClient(t, s.URL)
	for _, r := range registry.Routes("a", "v1", string(img.Descriptor.Digest), "b", "x") {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			c.do(r.Method, r.Path, nil)
		}
	}
	require.Empty(t, wrote)
}

func testCatalogFiltered(t *testing.T) {
	s, as := asPrincipals(t, principals{"reader": {"registry:catalog:*", "repository:a:pull", "repository:c:pull"}})
	for _, repo := range []string{"a", "b", "c", "d"} {
		require.NoError(t, registrytest.RandomImage(1, 0, 0).Push(context.Background(), s.Store, repo))
	}
	a := as("reader").want(200, "GET", "/v2/_catalog", nil)
	require.JSONEq(t, `{"repositories":["a","c"]}`, string(a.body))
	_, all := as("reader").pages("/v2/_catalog?n=1", "repositories")
	require.Equal(t, []string{"a", "c"}, all)
	require.Empty(t, as("reader").want(200, "GET", "/v2/_catalog?n=2", nil).Header.Get("Link"))
}

func testSecretsInLogs(t *testing.T) {
	var log bytes.Buffer
	c := serve(t, failing{registrytest.NewStore(t), context.DeadlineExceeded}, &registry.Options{
		Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	c.want(500, "HEAD", "/v2/a/blobs/"+sha256Zeros+"?access_token=hush-hush", nil, "Authorization: Basic aHVzaC1odXNo",
		"Cookie: hush-hush")
	require.NotEmpty(t, log.String())
	require.NotContains(t, log.String(), "hush-hush")
	require.NotContains(t, log.String(), "aHVzaC1odXNo")
}

// testNoCookies: no response sets a cookie or depends on one.
func testNoCookies(t *testing.T) {
	s, as := asPrincipals(t, principals{"reader": {"repository:a:pull"}})
	img := registrytest.RandomImage(1, 1, 10)
	require.NoError(t, img.Push(context.Background(), s.Store, "a", "v1"))
	for _, name := range []string{"reader", ""} {
		for _, r := range registry.Routes("a", "v1", string(img.Descriptor.Digest), "b", "x") {
			with := as(name).do(r.Method, r.Path, nil, "Cookie: session=reader; Principal=reader")
			without := as(name).do(r.Method, r.Path, nil)
			require.Equal(t, without.StatusCode, with.StatusCode, r.Path)
			require.Empty(t, with.Header["Set-Cookie"])
			require.Empty(t, without.Header["Set-Cookie"])
		}
	}
}
