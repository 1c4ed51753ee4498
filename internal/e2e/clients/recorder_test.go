package clients

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

// recorder stands in front of the registry and writes down requests, so that a test sees that a client really
// mounted, resumed or sent chunks, and did not fall back to something else.
type recorder struct {
	Addr string

	mu   sync.Mutex
	seen []string // "METHOD URI STATUS"
}

func record(t *testing.T) *recorder {
	t.Helper()
	target, err := url.Parse(registry.URL())
	require.NoError(t, err)
	r := &recorder{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(target); p.Out.Host = p.In.Host },
		ModifyResponse: func(resp *http.Response) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.seen = append(r.seen, fmt.Sprintf("%s %s %d", resp.Request.Method, resp.Request.URL.RequestURI(), resp.StatusCode))
			return nil
		},
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	r.Addr = strings.TrimPrefix(front.URL, "http://")
	return r
}

// Count says how many requests match a pattern.
func (r *recorder) Count(pattern string) int {
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

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.seen, "\n")
}
