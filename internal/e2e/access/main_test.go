// Package access has the programs that people use log in, pull and push where some may and others may not: anonymous callers pull what is
// open, ann pulls everything and pushes below her name. All of it goes through the token endpoint.
package access

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/stretchr/testify/require"
)

const user, password = "ann", "correct-horse"

// users are those who log in: ann, and the one who sees to it that there is something to pull.
type users struct{}

func (users) Authenticate(r *http.Request) (auth.Identity, error) {
	name, pass, ok := r.BasicAuth()
	switch {
	case !ok:
		return auth.Identity{}, nil
	case name != user && name != "seeder" || pass != password:
		return auth.Identity{}, auth.ErrCredentials
	}
	return auth.Identity{Name: name}, nil
}

func (users) Challenge(*http.Request, []auth.Access) string { return `Basic realm="registry"` }

// closed are the same rules, but that nobody does anything without a login, and they say so: clients are asked for their password directly.
type closed struct{}

func (closed) Authorize(ctx context.Context, who auth.Identity, accesses []auth.Access) error {
	if who.Anonymous() {
		return auth.ErrDenied
	}
	return rules(ctx, who, accesses)
}

func (closed) Prefixes(_ context.Context, who auth.Identity) []string {
	if who.Anonymous() {
		return nil
	}
	return []string{""}
}

// rules: everybody pulls what is open, ann pulls everything and does what she likes below ann.
func rules(_ context.Context, who auth.Identity, accesses []auth.Access) error {
	for _, a := range accesses {
		if who.Name == "seeder" {
			continue
		}
		open := a.Action == auth.Pull && strings.HasPrefix(a.Name, "open/")
		anns := who.Name == user && (a.Action == auth.Pull || strings.HasPrefix(a.Name, "ann/"))
		if a.Type != auth.TypeRepository || !open && !anns {
			return auth.ErrDenied
		}
	}
	return nil
}

// site is a registry with these users and rules, in this process, that writes down requests.
type site struct {
	Addr string

	mu   sync.Mutex
	seen []string // "METHOD URI STATUS"
	hold time.Duration
	held bool
}

func newSite(t *testing.T, rules auth.Authorizer) *site {
	t.Helper()
	driver, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	logins, err := token.New(store, users{}, rules, &token.Options{Lifetime: token.MinLifetime})
	require.NoError(t, err)
	reg, err := registry.New(store, &registry.Options{Authenticator: logins, Authorizer: logins})
	require.NoError(t, err)
	s := &site{}
	server := httptest.NewServer(s.record(logins.Handler(reg)))
	t.Cleanup(server.Close)
	s.Addr = strings.TrimPrefix(server.URL, "http://")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("requests:\n%s", s)
		}
	})
	return s
}

// record writes requests down. If there is hold, the first blob that is finished is answered that much later.
func (s *site) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.seen = append(s.seen, fmt.Sprintf("%s %s %d", r.Method, r.RequestURI, rec.status))
		}()
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/") {
			s.mu.Lock()
			first := !s.held
			s.held = true
			s.mu.Unlock()
			if first && s.hold > 0 {
				rec.before = func() { time.Sleep(s.hold) }
			}
		}
		next.ServeHTTP(rec, r)
	})
}

type recorder struct {
	http.ResponseWriter
	status int
	before func()
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	if r.before != nil {
		r.before()
		r.before = nil
	}
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// count says how many requests match a pattern.
func (s *site) count(pattern string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, re := 0, regexp.MustCompile(pattern)
	for _, line := range s.seen {
		if re.MatchString(line) {
			n++
		}
	}
	return n
}

func (s *site) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.seen, "\n")
}

// seed pushes an image, or what the client can pull.
func (s *site) seed(t *testing.T, c *client, repo string) {
	t.Helper()
	if c.seed {
		for _, step := range []func() (string, error){
			func() (string, error) { return c.login(t, "seeder", password) },
			func() (string, error) { return c.push(t, repo) },
			func() (string, error) { return c.logout(t) },
		} {
			said, err := step()
			require.NoError(t, err, said)
		}
		return
	}
	p := harness.NewProgram(t, "crane")
	p.Run(t, "auth", "login", s.Addr, "-u", "seeder", "-p", password)
	p.Run(t, "push", harness.Layout(t, harness.Image(t, "amd64", t.Name()+repo)), s.Addr+"/"+repo)
}
