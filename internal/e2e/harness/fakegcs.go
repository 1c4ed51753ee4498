package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// FakeGCS is fake-gcs-server, which keeps its objects in memory, behind a proxy. The proxy records
// requests, injects faults and corrects the conditional delete.
//
// fake-gcs-server checks ifGenerationMatch of uploads atomically, and lists from startOffset. It
// differs from Cloud Storage:
//
//   - It ignores ifGenerationMatch of deletes and removes whatever is there. The front asks it for
//     a delete of that generation instead, which the server does in one step. That is the same
//     where no old generations are kept, as here. Cloud Storage responds 412 if there is another
//     generation, or none.
//   - It ignores conditions of reads, permissions, signatures and their expiry.
type FakeGCS struct {
	Addr string // address of the proxy; the value of STORAGE_EMULATOR_HOST

	mu    sync.Mutex
	seen  []string
	fault func(*http.Request) Fault
}

// Fault is what the proxy does to a request instead of passing it on.
type Fault int

// The faults.
const (
	NoFault      Fault = iota
	Status503          // responds 503; the server does not get the request
	Status429          // responds 429; the server does not get the request
	Status403          // responds 403; the server does not get the request
	LoseResponse       // the server performs the request, but the connection is lost before the response
)

// NewFakeGCS starts the server and its proxy. Both end with the test.
func NewFakeGCS(t *testing.T) *FakeGCS {
	t.Helper()
	behind, err := FreeAddr()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(behind)
	require.NoError(t, err)
	g := &FakeGCS{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: behind})
			r.Out.Host = r.In.Host // the server sends the host to clients as its own address
		},
		ModifyResponse: conditionalDelete,
		FlushInterval:  -1,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { g.serve(proxy, w, r) }))
	t.Cleanup(front.Close)
	g.Addr = strings.TrimPrefix(front.URL, "http://")
	Daemon(t, func() error {
		resp, err := http.Get("http://" + behind + "/_internal/healthcheck")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}, "fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", port, "-public-host", g.Addr,
		"-external-url", front.URL,
		"-backend", "memory", "-log-level", "warn")
	return g
}

// Create creates an empty bucket.
func (g *FakeGCS) Create(t *testing.T, bucket string) {
	t.Helper()
	resp, err := http.Post("http://"+g.Addr+"/storage/v1/b?project=test", "application/json",
		strings.NewReader(fmt.Sprintf(`{"name":%q}`, bucket)))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// URL returns the URL of a bucket for gocloud.dev.
func (g *FakeGCS) URL(bucket string) string { return "gs://" + bucket }

// Env returns the environment variables that give a program access.
func (g *FakeGCS) Env() []string { return []string{"STORAGE_EMULATOR_HOST=" + g.Addr} }

// onlyGeneration is a context key that marks the request as a conditional delete.
type onlyGeneration struct{}

func (g *FakeGCS) serve(proxy http.Handler, w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	g.seen = append(g.seen, kind(r))
	decide := g.fault
	g.mu.Unlock()
	fault := NoFault
	if decide != nil {
		fault = decide(r)
	}
	switch fault {
	case Status503, Status429, Status403:
		_, _ = io.Copy(io.Discard, r.Body) // a client that is still writing would otherwise see a lost connection
		code := map[Fault]int{Status503: 503, Status429: 429, Status403: 403}[fault]
		http.Error(w, http.StatusText(code), code)
		return
	case LoseResponse:
		w = httptest.NewRecorder()
	}
	if query := r.URL.Query(); r.Method == http.MethodDelete && query.Has("ifGenerationMatch") {
		query.Set("generation", query.Get("ifGenerationMatch"))
		r = r.WithContext(context.WithValue(r.Context(), onlyGeneration{}, true))
		r.URL.RawQuery = query.Encode()
	}
	proxy.ServeHTTP(w, r)
	if fault == LoseResponse {
		panic(http.ErrAbortHandler)
	}
}

func conditionalDelete(resp *http.Response) error {
	if resp.Request.Context().Value(onlyGeneration{}) == nil || resp.StatusCode != http.StatusNotFound {
		return nil
	}
	const response = `{"error":{"code":412,"message":"At least one of the pre-conditions you specified did not hold."}}`
	resp.Body.Close()
	resp.StatusCode, resp.Status = http.StatusPreconditionFailed, "412 Precondition Failed"
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader([]byte(response))), int64(len(response))
	resp.Header.Set("Content-Length", fmt.Sprint(len(response)))
	return nil
}

// kind describes a request by its method and API, and by its parameters for generations and
// offsets.
func kind(r *http.Request) string {
	query := r.URL.Query()
	what := "read"
	switch {
	case strings.HasPrefix(r.URL.Path, "/upload/") && query.Has("upload_id"):
		what = "part"
	case strings.HasPrefix(r.URL.Path, "/upload/"):
		what = query.Get("uploadType")
	case strings.HasSuffix(r.URL.Path, "/o"):
		what = "list"
	case strings.Contains(r.URL.Path, "/o/"):
		what = "object"
	case strings.HasPrefix(r.URL.Path, "/storage/v1/b"):
		what = "bucket"
	}
	what = r.Method + " " + what
	for _, name := range []string{"ifGenerationMatch", "startOffset", "kmsKeyName"} {
		if value := query.Get(name); value != "" && !query.Has("upload_id") {
			what += " " + name + "=" + value
		}
	}
	return what
}

// Fail calls f for each later request to choose a fault. nil ends the faults. f may be called
// concurrently, and may use the server itself.
func (g *FakeGCS) Fail(f func(*http.Request) Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = f
}

// Requests returns the requests since the last call.
func (g *FakeGCS) Requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = nil
	return seen
}
