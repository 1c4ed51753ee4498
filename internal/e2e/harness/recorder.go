package harness

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Recorder is a proxy in front of a registry that records requests. With it, a test can check that
// a client really mounted, resumed or sent chunks, and did not fall back to something else.
type Recorder struct {
	Addr string

	front *httptest.Server

	mu   sync.Mutex
	seen []string // "METHOD URI STATUS"
	sent []int64  // bytes of each response
}

// NewRecorder starts a recorder in front of the registry at base. The recorder ends with the test.
func NewRecorder(t *testing.T, base string) *Recorder {
	t.Helper()
	target, err := url.Parse(base)
	require.NoError(t, err)
	r := &Recorder{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host },
		ModifyResponse: func(resp *http.Response) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen = append(r.seen, fmt.Sprintf("%s %s %d", resp.Request.Method, resp.Request.URL.RequestURI(), resp.StatusCode))
			r.sent = append(r.sent, resp.ContentLength)
			return nil
		},
	}
	r.front = httptest.NewServer(proxy)
	t.Cleanup(r.front.Close)
	r.Addr = strings.TrimPrefix(r.front.URL, "http://")
	return r
}

// Stop ends the recorder: its address refuses connections from now on.
func (r *Recorder) Stop() {
	r.front.CloseClientConnections()
	r.front.Close()
}

// Forget forgets the requests so far.
func (r *Recorder) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.sent = nil, nil
}

// Count returns the number of requests that match a pattern.
func (r *Recorder) Count(pattern string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, re := 0, regexp.MustCompile(pattern)
	for _, s := range r.seen {
		if re.MatchString(s) {
			n++
		}
	}
	return n
}

// Sent returns the total bytes of the responses to the requests that match a pattern.
func (r *Recorder) Sent(pattern string) (bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	re := regexp.MustCompile(pattern)
	for i, s := range r.seen {
		if re.MatchString(s) {
			bytes += r.sent[i]
		}
	}
	return bytes
}

func (r *Recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.seen, "\n")
}
