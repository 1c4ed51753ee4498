package registry_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/registrytest"
)

func TestEmbeddedInMux(t *testing.T) {
	one, two := registrytest.NewServer(t, nil), registrytest.NewServer(t, nil)
	mux := http.NewServeMux()
	mux.Handle("/v2/", one.Registry)
	mux.Handle("/second/", http.StripPrefix("/second", two.Registry))
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
	base := startServer(t, mux)
	c, d := newClient(t, base), newClient(t, base+"/second")
	require.Equal(t, "hello", string(c.want(200, "GET", "/hello", nil).body))
	img := registrytest.RandomImage(1, 1, 100)
	c.push("a", img, "v1")
	c.want(200, "GET", "/v2/a/manifests/v1", nil)
	// The two registries share no content.
	d.want(404, "GET", "/v2/a/manifests/v1", nil)
	d.push("b", img, "v1")
	c.want(404, "GET", "/v2/b/manifests/v1", nil)
	c.want(404, "HEAD", "/v2/b/blobs/"+string(digest.FromBytes(img.Blobs[0])), nil)
}

// TestLocationsKeepTheStrippedPrefix: locations keep the prefix that http.StripPrefix has removed,
// for every form of request target. They never contain a prefix that a client invents.
func TestLocationsKeepTheStrippedPrefix(t *testing.T) {
	s := registrytest.NewServer(t, &registry.Options{PageSize: 1})
	h := http.StripPrefix("/some/prefix", s.Registry)
	base := startServer(t, h)
	c := newClient(t, base)
	img := registrytest.RandomImage(1, 1, 100)
	require.NoError(t, img.Push(context.Background(), s.Store, "a", "v1", "v2"))
	location := c.want(202, "POST", "/some/prefix/v2/a/blobs/uploads/?x=/y", nil).Header.Get("Location")
	require.True(t, strings.HasPrefix(location, "/some/prefix/v2/a/blobs/uploads/"), location)
	location = c.want(202, "PATCH", location, "abc").Header.Get("Location")
	location = c.want(201, "PUT", location+"?digest="+string(digest.FromString("abc")), nil).Header.Get("Location")
	require.Equal(t, "abc", string(c.want(200, "GET", location, nil).body))
	a := c.want(201, "PUT", "/some/prefix/v2/a/manifests/v1", img.Manifest)
	c.want(200, "GET", a.Header.Get("Location"), nil)
	require.Equal(t, "/some/prefix/v2/a/tags/list?last=v1&n=1",
		c.want(200, "GET", "/some/prefix/v2/a/tags/list", nil).next(t))

	for _, r := range []struct{ requestURI, path, want string }{
		{"http://registry.example/some/prefix/v2/a/blobs/uploads/", "", "/some/prefix"},
		{"/some/prefix/v2/a/blobs/uploads/?x=y", "", "/some/prefix"},
		{"/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/", ""},
		{"/%7Eprefix/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/", "/%7Eprefix"},
		{"//evil.example/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/", ""},
		{"/rewritten/by/the/host", "/v2/a/blobs/uploads/", ""},
		{"", "/v2/a/blobs/uploads/", ""},
		{"*", "/v2/a/blobs/uploads/", ""},
		{"/a\"><b/v2/a/blobs/uploads/", "/v2/a/blobs/uploads/", "/a%22%3E%3Cb"},
	} {
		req := httptest.NewRequest("POST", "/v2/a/blobs/uploads/", nil)
		req.RequestURI = r.requestURI
		var handler http.Handler = s.Registry
		if r.path == "" {
			handler, req.URL = h, must(url.Parse(r.requestURI))
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		require.Equal(t, 202, w.Code, w.Body)
		require.True(t, strings.HasPrefix(w.Header().Get("Location"), r.want+"/v2/a/blobs/uploads/"), "%s: %s",
			r.requestURI, w.Header())
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestHTTP2(t *testing.T) {
	reg := registrytest.NewServer(t, nil).Registry
	s := httptest.NewUnstartedServer(reg)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	c := newClient(t, s.URL)
	c.http.Transport = s.Client().Transport
	img := registrytest.RandomImage(1, 2, 1<<20)
	c.push("a", img, "v1")
	a := c.want(200, "GET", "/v2/a/manifests/v1", nil)
	require.Equal(t, 2, a.ProtoMajor)
	for _, blob := range img.Blobs {
		require.Equal(t, blob, c.want(200, "GET", "/v2/a/blobs/"+string(digest.FromBytes(blob)), nil).body)
	}
	location := c.want(202, "PATCH", c.startUpload("a"), img.Blobs[1][:1000]).standsAt(t, "999")
	c.refused(416, "BLOB_UPLOAD_INVALID", "PATCH", location, img.Blobs[1], "Content-Range: 0-1048575")
	c.want(201, "PUT", location+"?digest="+string(digest.FromBytes(img.Blobs[1])), img.Blobs[1][1000:],
		"Content-Range: 1000-1048575")
}

type contextKey struct{}

// TestContextOfHostReachesBackend: context values of outer handlers reach the backend, also in
// writes that outlive the request.
func TestContextOfHostReachesBackend(t *testing.T) {
	var mu sync.Mutex
	seen := map[registry.OpKind]any{}
	check := func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		mu.Lock()
		seen[op.Kind] = ctx.Value(contextKey{})
		mu.Unlock()
		return next(ctx)
	}
	s := registrytest.NewServer(t, &registry.Options{Interceptors: []registry.Interceptor{check}})
	c := newClient(t, startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Registry.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, "of the host")))
	})))
	c.push("a", registrytest.RandomImage(1, 1, 10), "v1")
	c.want(202, "DELETE", "/v2/a/manifests/v1", nil)
	c.want(200, "GET", "/v2/a/tags/list", nil)
	require.Subset(t, seen, map[registry.OpKind]any{
		registry.OpCreateUpload: "of the host", registry.OpCommit: "of the host",
		registry.OpPutManifest: "of the host", registry.OpDeleteTag: "of the host", registry.OpTags: "of the host"})
}

func TestEventsTellOfTheRequest(t *testing.T) {
	var events []notification.Event
	sink := notification.SinkFunc(func(_ context.Context, e notification.Event) error {
		events = append(events, e)
		return nil
	})
	_, c := newRegistry(t, &registry.Options{Sink: sink})
	c.pushBlob("a", []byte("x"))
	require.Len(t, events, 1)
	require.Equal(t, notification.Push, events[0].Action)
	require.Equal(t, "POST", events[0].Request.Method)
	require.NotEmpty(t, events[0].Request.RemoteAddr)
}

// failing is a Backend whose reads fail.
type failing struct {
	registry.Backend
	err error
}

func (f failing) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.StatOptions) (desc descriptor, err error) {
	return desc, f.err
}

// TestErrorCauseGoesToTheLogOnly: the client never gets the cause of an error. Only server errors
// are logged.
func TestErrorCauseGoesToTheLogOnly(t *testing.T) {
	for _, e := range []struct {
		err        error
		status     int
		retryAfter string
		logged     bool
	}{
		{fmt.Errorf("cause"), 500, "", true},
		{registry.ErrNoSpace.WithCause(fmt.Errorf("cause")), 507, "", true},
		{registry.ErrUnavailable.WithCause(fmt.Errorf("cause")), 503, "1", true},
		{fmt.Errorf("x: %w", registry.ErrTooManyRequests.WithRetryAfter(1500*time.Millisecond)), 429, "2", false},
		{registry.ErrDenied.WithCause(fmt.Errorf("cause")), 403, "", false},
		{registry.ErrBlobUnknown.WithDetail(func() {}), 404, "", false},
		{registry.ErrUnauthorized, 401, "", false},
	} {
		var log bytes.Buffer
		c := serve(t, failing{registrytest.NewStore(t), e.err},
			&registry.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		a := c.want(e.status, "HEAD", "/v2/a/blobs/"+sha256Zeros, nil, "Authorization: Bearer secret")
		require.Empty(t, a.body)
		require.NotEqual(t, "0", a.Header.Get("Content-Length"))
		require.Equal(t, e.retryAfter, a.Header.Get("Retry-After"))
		require.Equal(t, e.logged, strings.Contains(log.String(), "cause"), "%s", &log)
		require.Equal(t, e.logged, log.Len() > 0)
		require.NotContains(t, log.String(), "secret")
	}
	c := serve(t, registry.Unimplemented{}, nil)
	a := c.refused(405, "UNSUPPORTED", "GET", "/v2/a/blobs/"+sha256Zeros, nil)
	require.Equal(t, "DELETE, HEAD", a.Header.Get("Allow"))
}

func TestUnknownRoutes(t *testing.T) {
	_, c := newRegistry(t, nil)
	for _, path := range []string{"/", "/v1/", "/v2/x", "/v2/a/tags", "/v2/_catalog/"} {
		c.refused(404, "UNSUPPORTED", "GET", path, nil)
	}
	for path, allow := range map[string]string{
		"/v2/": "GET, HEAD", "/v2/_catalog": "GET, HEAD", "/v2/a/tags/list": "GET, HEAD",
		"/v2/a/referrers/" + sha256Zeros: "GET, HEAD",
		"/v2/a/manifests/x":              "DELETE, GET, HEAD, PUT", "/v2/a/blobs/" + sha256Zeros: "DELETE, GET, HEAD",
		"/v2/a/blobs/uploads/":  "POST",
		"/v2/a/blobs/uploads/x": "DELETE, GET, HEAD, PATCH, PUT",
	} {
		for _, method := range []string{"OPTIONS", "TRACE", "BREW", "get"} {
			require.Equal(t, allow, c.refused(405, "UNSUPPORTED", method, path, nil).Header.Get("Allow"), path)
		}
	}
}

// dial opens a connection and writes s.
func dial(t testing.TB, host, s string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(conn, s)
	require.NoError(t, err)
	return conn
}

func patch(path string, length int) string {
	return fmt.Sprintf("PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", path, length)
}

// TestClientDisconnectsDuringPatch: a client that disconnects during a PATCH finds the received
// bytes by a status request, and continues from there.
func TestClientDisconnectsDuringPatch(t *testing.T) {
	s, c := newRegistry(t, nil)
	content := registrytest.RandomBytes(1, 500_000)
	for _, sent := range []int{1, 1000, 200_000} {
		location := c.startUpload("a")
		conn := dial(t, s.Host, patch(location, len(content))+string(content[:sent]))
		conn.Close()
		var a *response
		require.Eventually(t, func() bool {
			a = c.want(204, "GET", location, nil)
			return a.Header.Get("Range") == fmt.Sprint("0-", sent-1)
		}, 5*time.Second, 5*time.Millisecond)
		if sent == 1 {
			continue // 0-0 also means no bytes
		}
		a = c.want(202, "PATCH", a.Header.Get("Location"), content[sent:],
			fmt.Sprintf("Content-Range: %d-%d", sent, len(content)-1))
		c.want(201, "PUT", a.Header.Get("Location")+"?digest="+string(digest.FromBytes(content)), nil)
	}
}

// TestStalledBodyIsRefused: a body without progress gets an error response, and the registry keeps
// the received bytes. It accepts a slow body with progress. No deadline remains after the body.
func TestStalledBodyIsRefused(t *testing.T) {
	slow := func(ctx context.Context, op *registry.Op, next func(context.Context) error) error {
		if op.Kind == registry.OpCommit {
			time.Sleep(500 * time.Millisecond)
		}
		return next(ctx)
	}
	s, c := newRegistry(t, &registry.Options{BodyTimeout: 200 * time.Millisecond, MinRate: 1,
		Interceptors: []registry.Interceptor{slow}})
	location := c.startUpload("a")
	conn := dial(t, s.Host, patch(location, 1000)+"abc")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusRequestTimeout, res.StatusCode)
	require.True(t, res.Close)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Contains(t, string(b), "SIZE_INVALID")
	location = c.want(204, "GET", location, nil).standsAt(t, "2")

	r, w := io.Pipe()
	go func() {
		for range 10 {
			time.Sleep(100 * time.Millisecond)
			_, _ = w.Write([]byte("d"))
		}
		w.Close()
	}()
	location = c.want(202, "PATCH", location, r).standsAt(t, "12")

	// The commit takes longer than the deadline of the body. The context of the request must not
	// end during the commit.
	var after error
	c.base = startServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.Registry.ServeHTTP(w, r)
		after = r.Context().Err()
	}))
	c.want(201, "PUT", location+"?digest="+string(digest.FromString("abcdddddddddde")), "e")
	require.NoError(t, after)
}

// TestConcurrentPatchesOneWins: of several PATCHes at one offset, exactly one is accepted.
func TestConcurrentPatchesOneWins(t *testing.T) {
	_, c := newRegistry(t, nil)
	for round := range 20 {
		location := c.startUpload("a")
		size := []int{10, 100_000}[round%2]
		var statuses sync.Map
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				a := c.do("PATCH", location, registrytest.RandomBytes(uint64(i), size), fmt.Sprintf("Content-Range: 0-%d", size-1))
				statuses.Store(i, a.StatusCode)
			})
		}
		wg.Wait()
		accepted, winner := 0, 0
		statuses.Range(func(i, status any) bool {
			if status == 202 {
				accepted, winner = accepted+1, i.(int)
			} else {
				require.Equal(t, 416, status)
			}
			return true
		})
		require.Equal(t, 1, accepted)
		c.want(201, "PUT", location+"?digest="+string(digest.FromBytes(registrytest.RandomBytes(uint64(winner), size))), nil)
	}
}

// TestSlowClientsBlockNobody: clients that send or read nothing do not block other clients.
func TestSlowClientsBlockNobody(t *testing.T) {
	s, c := newRegistry(t, nil)
	big := c.pushBlob("a", registrytest.RandomBytes(9, 16<<20))
	location := c.startUpload("a")
	dial(t, s.Host, patch(location, 1000)+"abc")
	dial(t, s.Host, "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
	dial(t, s.Host, "GET /v2/a/blobs/"+string(big)+" HTTP/1.1\r\nHost: x\r\n\r\n")
	c.http.Timeout = 5 * time.Second
	c.push("a", registrytest.RandomImage(1, 1, 100), "v1")
	c.want(200, "GET", "/v2/a/tags/list", nil)
	c.want(204, "GET", location, nil)
	c.want(202, "DELETE", "/v2/a/manifests/v1", nil)
	c.want(202, "DELETE", "/v2/a/blobs/"+string(big), nil)
}

// TestRefusalArrivesBeforeClose: a client that sends its whole request before it reads gets the
// response to a refused request. The server never parses the rest of that body as a new request.
// After a small body, it serves the next request on the connection; otherwise it closes the
// connection.
func TestRefusalArrivesBeforeClose(t *testing.T) {
	s, _ := newRegistry(t, nil)
	next := "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
	for _, target := range []string{"POST /v2/a/blobs/uploads/?digest=x", "PUT /v2/A/manifests/x",
		"PATCH /v2/a/blobs/uploads/x", "GET /nowhere"} {
		for _, size := range []int{100_000, smallRest - 1, smallRest, 4 << 20, maxDrain - 1, maxDrain, maxDrain + 1000,
			maxDrain + smallRest/2} {
			body := strings.Repeat(next, size/len(next)+1)[:size]
			for framing, sent := range map[string]string{
				fmt.Sprint("Content-Length: ", size): body,
				"Transfer-Encoding: chunked":         fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, body),
			} {
				conn := dial(t, s.Host, target+" HTTP/1.1\r\nHost: x\r\n"+framing+"\r\n\r\n")
				sending := make(chan error, 1)
				go func() {
					_, err := io.WriteString(conn, sent)
					sending <- err
				}()
				if size < maxDrain {
					require.NoError(t, <-sending)
					_, _ = io.WriteString(conn, next)
				}
				r := bufio.NewReader(conn)
				res, err := http.ReadResponse(r, nil)
				require.NoError(t, err)
				b, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Contains(t, string(b), `"errors"`)
				require.Equal(t, size >= smallRest || strings.Contains(framing, "chunked"), res.Close, "%s %s", target, framing)
				res, err = http.ReadResponse(r, nil)
				if err == nil {
					require.Equal(t, 200, res.StatusCode)
					_, _ = io.Copy(io.Discard, res.Body)
					require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Millisecond)))
					_, err = http.ReadResponse(r, nil)
				} else {
					require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
				}
				require.Error(t, err)
				conn.Close()
			}
		}
	}
	// A client that sends far more gets the response while it is still sending.
	conn := dial(t, s.Host, "PUT /v2/A/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\nx")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, 400, res.StatusCode)
	require.True(t, res.Close)
}

const (
	smallRest = 256 << 10
	maxDrain  = 8 << 20
)

// TestExpectContinueRefused: a refused client is not asked to send its body.
func TestExpectContinueRefused(t *testing.T) {
	s, _ := newRegistry(t, nil)
	for target, want := range map[string]string{
		"PUT /v2/A/manifests/x":                           "HTTP/1.1 400 Bad Request\r\n",
		"POST /v2/a/blobs/uploads/?digest=" + sha256Zeros: "HTTP/1.1 100 Continue\r\n",
	} {
		conn := dial(t, s.Host, target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
		r := bufio.NewReader(conn)
		line, err := r.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, line)
		if !strings.Contains(want, "100") {
			start := time.Now()
			rest, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Less(t, time.Since(start), 3*time.Second) // without waiting for the body
			require.NotContains(t, string(rest), "100 Continue")
		}
	}
}

// TestStalledRefusedBodyClosesConnection: a client that stalls in the middle of a refused body soon
// gets a response. The server then closes the connection.
func TestStalledRefusedBodyClosesConnection(t *testing.T) {
	s, c := newRegistry(t, &registry.Options{BodyTimeout: 100 * time.Millisecond})
	blob := c.pushBlob("a", registrytest.RandomBytes(1, 1<<20))
	for _, target := range []string{"GET /v2/", "GET /v2/_catalog", "GET /v2/a/blobs/" + string(blob),
		"PUT /v2/A/manifests/x", "PUT /v2/a/manifests/x"} {
		for _, length := range []int{1000, 1_000_000} {
			conn := dial(t, s.Host, fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nx", target, length))
			_, err := io.ReadAll(conn)
			require.NoError(t, err)
		}
	}
}
