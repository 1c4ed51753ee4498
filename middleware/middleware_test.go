package middleware_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/static"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/middleware"
	"github.com/registrykit/registry/registrytest"
)

// newRegistry returns an open registry in memory with an image app:v1.
func newRegistry(t *testing.T) http.Handler {
	t.Helper()
	store := registrytest.NewStore(t)
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), store, "app", "v1"))
	reg, err := registry.New(store, nil)
	require.NoError(t, err)
	return reg
}

// send sends a request to a handler. Headers are "Name: value"; Host may be one of them.
func send(h http.Handler, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// requireRefused requires the response to be 403 DENIED in the JSON of the distribution spec.
func requireRefused(t *testing.T, res *http.Response, msg ...any) {
	t.Helper()
	require.Equal(t, http.StatusForbidden, res.StatusCode, msg...)
	require.Equal(t, "application/json", res.Header.Get("Content-Type"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	var response struct {
		Errors []struct{ Code, Message string }
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&response))
	require.Len(t, response.Errors, 1)
	require.Equal(t, "DENIED", response.Errors[0].Code)
	require.NotEmpty(t, response.Errors[0].Message)
}

func TestLocalHostForeignNameRefused(t *testing.T) {
	h := middleware.LocalHost(newRegistry(t), "Registry.Example", "192.0.2.1")
	for _, host := range []string{
		"127.0.0.1:5000", "127.0.0.1", "127.8.8.8:5000", "localhost:5000", "LOCALHOST", "[::1]:5000", "[::1]",
		"registry.example", "registry.example:443", "REGISTRY.example:5000", "192.0.2.1:5000",
	} {
		require.Equal(t, http.StatusOK, send(h, "GET", "/v2/_catalog", "Host: "+host).StatusCode, host)
	}
	for _, host := range []string{
		"evil.example:5000", "evil.example", "localhost.evil.example:5000", "127.0.0.1.evil.example", "a.registry.example",
		"192.0.2.2", "0.0.0.0:5000",
		"[::]:5000", ":5000", "", "localhost:5000:5000", "evil.example\"", strings.Repeat("a", 5000),
	} {
		for _, request := range []string{"GET /v2/_catalog", "PUT /v2/app/manifests/v1", "DELETE /v2/app/manifests/v1",
			"OPTIONS /v2/", "GET /"} {
			method, path, _ := strings.Cut(request, " ")
			requireRefused(t, send(h, method, path, "Host: "+host), "%s with %s", request, host)
		}
	}
	require.Equal(t, http.StatusOK, send(h, "GET", "/v2/app/manifests/v1", "Host: localhost").StatusCode,
		"it is still there")
}

func TestSameOriginForeignPageCannotWrite(t *testing.T) {
	h, err := middleware.SameOrigin(newRegistry(t), "https://UI.example:443", "http://localhost:3000")
	require.NoError(t, err)
	const host = "Host: 127.0.0.1:5000"
	foreign := [][]string{
		{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, {"Sec-Fetch-Site: cross-site"},
		{"Sec-Fetch-Site: same-site", "Origin: http://127.0.0.1:8080"},
		{"Origin: https://evil.example"}, {"Origin: null"}, {"Origin: http://127.0.0.1:8080"},
		{"Origin: http://localhost:5000"},
		{"Origin: http://localhost:3001"}, {"Origin: https://ui.example.evil.example"}, {"Sec-Fetch-Site: something-new"},
	}
	own := [][]string{
		nil, {"Sec-Fetch-Site: none"}, {"Sec-Fetch-Site: same-origin", "Origin: http://127.0.0.1:5000"},
		{"Origin: http://127.0.0.1:5000"},
		{"Origin: https://ui.example"}, {"Sec-Fetch-Site: cross-site", "Origin: https://ui.example"},
		{"Sec-Fetch-Site: same-site", "Origin: http://localhost:3000"},
	}
	for _, headers := range foreign {
		for _, request := range []string{
			"POST /v2/app/blobs/uploads/", "PUT /v2/app/manifests/v1", "PATCH /v2/app/blobs/uploads/x",
			"DELETE /v2/app/manifests/v1", "LINK /v2/",
		} {
			method, path, _ := strings.Cut(request, " ")
			requireRefused(t, send(h, method, path, append(headers, host)...), "%s with %s", request, headers)
		}
		res := send(h, "GET", "/v2/app/manifests/v1", append(headers, host)...)
		require.Equal(t, http.StatusOK, res.StatusCode, "reads pass")
		require.Empty(t, res.Header.Get("Access-Control-Allow-Origin"), "and browsers hide them")
	}
	for _, headers := range own {
		require.Equal(t, http.StatusAccepted, send(h, "POST", "/v2/app/blobs/uploads/",
			append(headers, host)...).StatusCode, headers)
	}
}

func TestOriginsInvalidRefused(t *testing.T) {
	for _, origin := range []string{
		"", "null", "ui.example", "//ui.example", "https://", "https://ui.example/", "https://ui.example/a",
		"https://ui.example?", "https://ui.example#a",
		"https://ann@ui.example", "https://ui.example ", "mailto:ann", "https://*.example", "https://*:443",
	} {
		_, err := middleware.SameOrigin(http.NotFoundHandler(), origin)
		require.Error(t, err, origin)
		_, err = middleware.CORS(http.NotFoundHandler(), &middleware.CORSOptions{Origins: []string{origin}})
		require.Error(t, err, origin)
	}
	_, err := middleware.CORS(http.NotFoundHandler(), &middleware.CORSOptions{Origins: []string{"*"}, Credentials: true})
	require.Error(t, err)
}

// TestCORSPages: a page of an allowed origin may read everything, errors and challenges included,
// and no other page anything.
func TestCORSPages(t *testing.T) {
	store := registrytest.NewStore(t)
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), store, "app", "v1"))
	users, err := static.New(map[string]static.User{"ann": {Secret: "secret"}}, nil)
	require.NoError(t, err)
	logins, err := token.New(store, users, auth.AuthorizerFunc(named), &token.Options{Always: true})
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: logins, Authorizer: logins})
	require.NoError(t, err)
	h, err := middleware.CORS(logins.Handler(reg), &middleware.CORSOptions{Origins: []string{"https://ui.example"}})
	require.NoError(t, err)

	const login = "Authorization: Basic YW5uOnNlY3JldA=="
	for _, c := range []struct {
		method, path, login string
		status              int
	}{
		{"GET", "/v2/", "", 401},
		{"GET", "/v2/app/manifests/v1", "", 401},
		{"GET", "/v2/app/manifests/v1", login, 200},
		{"HEAD", "/v2/app/manifests/v1", login, 200},
		{"GET", "/v2/app/manifests/none", login, 404},
		{"GET", "/v2/%2e%2e/tags/list", login, 400},
		{"POST", "/v2/", login, 405},
		{"POST", "/v2/app/blobs/uploads/", login, 202},
		{"GET", "/v2/token", login, 200},
		{"GET", "/v2/token?scope=x", login, 400},
		{"GET", "/v2/token", "Authorization: Basic !", 401},
	} {
		res := send(h, c.method, c.path, "Origin: https://ui.example", c.login)
		require.Equal(t, c.status, res.StatusCode, "%+v", c)
		require.Equal(t, []string{"https://ui.example"}, res.Header["Access-Control-Allow-Origin"], "%+v", c)
		require.Empty(t, res.Header["Access-Control-Allow-Credentials"])
		require.Equal(t, []string{"Origin"}, res.Header["Vary"])
		exposed := strings.Split(res.Header.Get("Access-Control-Expose-Headers"), ", ")
		for name := range res.Header {
			switch {
			case strings.HasPrefix(name, "Access-Control-"), name == "Vary", name == "X-Content-Type-Options",
				name == "Content-Security-Policy":
			case name == "Cache-Control", name == "Content-Type", name == "Last-Modified": // pages may read these anyway
			default:
				found := false
				for _, e := range exposed {
					found = found || strings.EqualFold(e, name)
				}
				require.True(t, found, "%s of %+v cannot be read", name, c)
			}
		}
		for _, origin := range []string{"", "https://evil.example", "null", "https://ui.example.evil.example",
			"http://ui.example", "https://ui.example:444"} {
			res := send(h, c.method, c.path, "Origin: "+origin, c.login)
			require.Equal(t, c.status, res.StatusCode)
			require.Empty(t, res.Header["Access-Control-Allow-Origin"], origin)
			require.Equal(t, []string{"Origin"}, res.Header["Vary"])
		}
	}
}

// named allows everything to callers with a name.
func named(_ context.Context, who auth.Identity, _ []auth.Access) error {
	if who.Anonymous() {
		return auth.ErrDenied
	}
	return nil
}

func TestCORSPreflight(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "came through",
			http.StatusTeapot)
	})
	h, err := middleware.CORS(next, &middleware.CORSOptions{Origins: []string{"https://ui.example"}})
	require.NoError(t, err)
	preflight := []string{"Origin: https://ui.example", "Access-Control-Request-Method: PATCH",
		"Access-Control-Request-Headers: authorization,content-range"}
	res := send(h, "OPTIONS", "/v2/app/blobs/uploads/x", preflight...)
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	require.Equal(t, "https://ui.example", res.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "600", res.Header.Get("Access-Control-Max-Age"))
	require.Equal(t, "Origin", res.Header.Get("Vary"))
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		require.Contains(t, strings.Split(res.Header.Get("Access-Control-Allow-Methods"), ", "), method)
	}
	for _, name := range []string{"Authorization", "Accept", "Content-Type", "Content-Range", "Range", "If-Match",
		"If-None-Match"} {
		require.Contains(t, strings.Split(res.Header.Get("Access-Control-Allow-Headers"), ", "), name)
	}

	preflight[0] = "Origin: https://evil.example"
	res = send(h, "OPTIONS", "/v2/", preflight...)
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	for name := range res.Header {
		require.False(t, strings.HasPrefix(name, "Access-Control-"), name)
	}
	require.Equal(t, http.StatusTeapot, send(h, "OPTIONS", "/v2/", "Origin: https://ui.example").StatusCode,
		"that is none")
	require.Equal(t, http.StatusTeapot, send(h, "OPTIONS", "/v2/", preflight[1]).StatusCode, "nor that")
}

func TestCORSOptions(t *testing.T) {
	header := func(o *middleware.CORSOptions, origin string) http.Header {
		h, err := middleware.CORS(newRegistry(t), o)
		require.NoError(t, err)
		return send(h, "OPTIONS", "/v2/", "Origin: "+origin, "Access-Control-Request-Method: GET").Header
	}
	require.Equal(t, "*", header(&middleware.CORSOptions{Origins: []string{"*"}},
		"https://any.example").Get("Access-Control-Allow-Origin"))
	require.Equal(t, "*", header(&middleware.CORSOptions{Origins: []string{"*"}},
		"null").Get("Access-Control-Allow-Origin"))
	with := header(&middleware.CORSOptions{Origins: []string{"https://ui.example"}, Credentials: true,
		MaxAge: time.Hour}, "https://ui.example")
	require.Equal(t, "true", with.Get("Access-Control-Allow-Credentials"))
	require.Equal(t, "3600", with.Get("Access-Control-Max-Age"))
	require.Equal(t, "0", header(&middleware.CORSOptions{Origins: []string{"https://ui.example"}, MaxAge: -1},
		"https://ui.example").Get("Access-Control-Max-Age"))
	require.Empty(t, header(nil, "https://ui.example").Get("Access-Control-Allow-Origin"))
}

// TestRefusedBodyStalled: a client that announces a body and does not send it gets its refusal all
// the same, and then loses the connection.
func TestRefusedBodyStalled(t *testing.T) {
	t.Parallel()
	cors, err := middleware.CORS(middleware.LocalOnly(newRegistry(t)), &middleware.CORSOptions{Origins: []string{"*"}})
	require.NoError(t, err)
	server := httptest.NewServer(cors)
	t.Cleanup(server.Close)
	for _, head := range []string{
		"PUT /v2/app/manifests/v1 HTTP/1.1\r\nHost: evil.example\r\n",
		"PUT /v2/app/manifests/v1 HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n",
		"OPTIONS /v2/ HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: PUT\r\n",
	} {
		t.Run(head[:20], func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(2*time.Minute)))
			_, err = fmt.Fprintf(conn, "%sContent-Length: 10\r\n\r\n", head)
			require.NoError(t, err)
			in := bufio.NewReader(conn)
			res, err := http.ReadResponse(in, nil)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, res.Body)
			require.NoError(t, err)
			_, err = in.ReadByte()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}
