//go:build unix

package token_test

import (
	"bufio"
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/memory"
)

// sink is an http.ResponseWriter that only keeps the status.
type sink struct {
	h      http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.h }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) WriteHeader(status int)      { s.status = status }

// head serves one HEAD of a manifest, from the bytes of the request to those of the response.
func head(b *testing.B, h http.Handler, authorization string) {
	raw := "HEAD /v2/a/manifests/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: benchmark\r\n"
	if authorization != "" {
		raw += "Authorization: " + authorization + "\r\n"
	}
	raw += "\r\n"
	r, buf := bytes.NewReader(nil), bufio.NewReader(nil)
	b.ReportAllocs()
	start := processor(b)
	for b.Loop() {
		r.Reset([]byte(raw))
		buf.Reset(r)
		req, err := http.ReadRequest(buf)
		if err != nil {
			b.Fatal(err)
		}
		req.RemoteAddr = "127.0.0.1:1"
		w := &sink{h: http.Header{}}
		h.ServeHTTP(w, req)
		if w.status != 200 {
			b.Fatal(w.status)
		}
	}
	b.ReportMetric(float64(processor(b)-start)/float64(b.N), "cpu-ns/op")
}

// processor returns the processor time of this process. On a machine with other work, wall-clock time
// means nothing.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHead measures what authentication and authorisation add to a HEAD: compare open with the
// others.
func BenchmarkHead(b *testing.B) {
	store := registrytest.NewStore(b)
	require.NoError(b, registrytest.RandomImage(1, 1, 10).Push(b.Context(), store, "a", "v1"))
	open, err := registry.New(store, nil)
	require.NoError(b, err)
	tokens, err := token.New(store, ann, allow("ann repository:a:pull", " repository:a:pull"), nil)
	require.NoError(b, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
	require.NoError(b, err)
	tok, err := tokens.Issue(b, basic("ann", "secret"), "repository:a:pull")
	require.NoError(b, err)

	b.Run("open", func(b *testing.B) { head(b, open, "") })
	b.Run("anonymous", func(b *testing.B) { head(b, reg, "") })
	path := filepath.Join(b.TempDir(), "users")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.DefaultCost)
	require.NoError(b, err)
	require.NoError(b, os.WriteFile(path, append([]byte("ann:"), hash...), 0o600))
	file, err := htpasswd.New(path, nil)
	require.NoError(b, err)
	passwords, err := registry.New(store, &registry.Options{Authenticator: file,
		Authorizer: allow("ann repository:a:pull")})
	require.NoError(b, err)
	b.Run("basic", func(b *testing.B) { head(b, passwords, basic("ann", "secret")) })
	b.Run("bearer", func(b *testing.B) { head(b, reg, "Bearer "+tok) })
}

// BenchmarkToken measures the endpoint, without what an Authenticator and an Authorizer cost.
func BenchmarkToken(b *testing.B) {
	s, _ := newRefreshing(b, memory.New(nil), newPeople(), nil)
	value := login(b, s)
	for name, form := range map[string]url.Values{
		"password": password("ann", "secret", "repository:a:pull,push"),
		"refresh":  {"grant_type": {"refresh_token"}, "refresh_token": {value}, "scope": {"repository:a:pull,push"}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			body := form.Encode()
			start := processor(b)
			for b.Loop() {
				r := httptest.NewRequest("POST", "/v2/token", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := &sink{h: http.Header{}}
				s.ServeHTTP(w, r)
				if w.status != 200 {
					b.Fatal(w.status)
				}
			}
			b.ReportMetric(float64(processor(b)-start)/float64(b.N), "cpu-ns/op")
		})
	}
}
