package registry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client sends requests to one registry. It follows no redirects and does not decompress.
type client struct {
	t    testing.TB
	base string
	http *http.Client
}

func newClient(t testing.TB, base string) *client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t: t, base: base, http: &http.Client{
		Transport:     tr,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// newRegistry returns a registry in memory, and a client of it.
func newRegistry(t testing.TB, opts *registry.Options) (*registrytest.Server, *client) {
	s := registrytest.NewServer(t, opts)
	return s, newClient(t, s.URL)
}

// serve returns a client of a registry over any Backend.
func serve(t testing.TB, b registry.Backend, opts *registry.Options) *client {
	r, err := registry.New(b, opts)
	require.NoError(t, err)
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return newClient(t, s.URL)
}

// response is an HTTP response with its whole body.
type response struct {
	*http.Response
	body []byte
}

// do sends a request. header is "Name: value"; body may be nil, a string, []byte (with a length) or
// an io.Reader (without).
func (c *client) do(method, path string, body any, header ...string) *response {
	c.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = c.base + path
	}
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	case io.Reader:
		r = io.MultiReader(b)
	}
	req, err := http.NewRequest(method, path, r)
	require.NoError(c.t, err)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	res, err := c.http.Do(req)
	require.NoError(c.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(c.t, err)
	return &response{Response: res, body: b}
}

// want sends a request and checks the status.
func (c *client) want(status int, method, path string, body any, header ...string) *response {
	c.t.Helper()
	a := c.do(method, path, body, header...)
	require.Equal(c.t, status, a.StatusCode, "%s %s: %s", method, path, a.body)
	if status >= 400 && method != http.MethodHead {
		a.errors(c.t)
	}
	return a
}

// refused sends a request and checks the status and the code of the error.
func (c *client) refused(status int, code, method, path string, body any, header ...string) *response {
	c.t.Helper()
	a := c.want(status, method, path, body, header...)
	require.Equal(c.t, code, a.errors(c.t)[0].Code, "%s %s: %s", method, path, a.body)
	return a
}

type wireError struct {
	Code    string
	Message string
	Detail  json.RawMessage
}

// errors returns the errors in the JSON body.
func (a *response) errors(t testing.TB) []wireError {
	t.Helper()
	var v struct{ Errors []wireError }
	require.NoError(t, json.Unmarshal(a.body, &v), "%s", a.body)
	require.NotEmpty(t, v.Errors)
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
	require.Equal(t, "registry/2.0", a.Header.Get("Docker-Distribution-API-Version"))
	for _, e := range v.Errors {
		require.NotEmpty(t, e.Code)
		require.NotEmpty(t, e.Message)
	}
	return v.Errors
}

// pushBlob pushes a blob in one request.
func (c *client) pushBlob(repo string, content []byte) digest.Digest {
	c.t.Helper()
	d := digest.FromBytes(content)
	c.want(http.StatusCreated, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(d), content)
	return d
}

// push pushes a manifest with all content that it references, and points tags at it.
func (c *client) push(repo string, content *registrytest.Content, tags ...string) {
	c.t.Helper()
	for _, child := range content.Children {
		c.push(repo, child)
	}
	for _, blob := range content.Blobs {
		c.pushBlob(repo, blob)
	}
	query := ""
	for i, tag := range tags {
		query += "?&"[min(i, 1):min(i, 1)+1] + "tag=" + tag
	}
	c.want(http.StatusCreated, "PUT", "/v2/"+repo+"/manifests/"+string(content.Descriptor.Digest)+query,
		content.Manifest, "Content-Type: "+content.Descriptor.MediaType)
}

const sha256Zeros = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// startServer serves h and returns its URL.
func startServer(t testing.TB, h http.Handler) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

type descriptor = ocispec.Descriptor

var anybody = auth.Identity{}
