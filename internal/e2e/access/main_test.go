// Package access checks logins with common client programs. A password file and rules decide about
// access: anonymous callers can pull from open repositories, and the user ann can pull everything
// and push below her name. All clients go through the token endpoint.
package access

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

const user, password = "ann", "correct-horse"

// open are rules by which all callers can pull from open repositories. ann can pull everything and
// has all access below her name. The user seeder pushes the images that the others pull.
const open = `
rules:
  - {who: {user: seeder}, repositories: "**", actions: "*"}
  - {who: everyone, repositories: "open/**", actions: pull}
  - {who: {user: ann}, repositories: "**", actions: pull}
  - {who: authenticated, repositories: "{user}/**", actions: "*"}
`

// closed are the same rules without anonymous access. The challenge then asks for the password
// directly.
const closed = `
rules:
  - {who: anonymous, repositories: "**", actions: "*", effect: deny}
  - {who: {user: seeder}, repositories: "**", actions: "*"}
  - {who: {user: ann}, repositories: ["open/**", "**"], actions: pull}
  - {who: authenticated, repositories: "{user}/**", actions: "*"}
`

// site is a registry with these users and rules, in this process. It records requests.
type site struct {
	Addr string

	mu   sync.Mutex
	seen []string // "METHOD URI STATUS"
	hold time.Duration
	held bool
}

func newSite(t *testing.T, policy string) *site {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	passwords := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(passwords, fmt.Appendf(nil, "%s:%s\nseeder:%s\n", user, hash, hash), 0o600))
	users, err := htpasswd.New(passwords, nil)
	require.NoError(t, err)
	access, err := rules.Parse([]byte(policy))
	require.NoError(t, err)
	driver, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	logins, err := token.New(store, users, access, &token.Options{Lifetime: token.MinLifetime})
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

// record records requests. If hold is set, the response to the first finished blob is delayed by
// it.
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
		// The test has caused the delay, not a client that does not read.
		_ = http.NewResponseController(r.ResponseWriter).SetWriteDeadline(time.Time{})
	}
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// count returns the number of requests that match a pattern.
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

// seed pushes an image, or for a client with seed what that client can pull.
func (s *site) seed(t *testing.T, c *client, repo string) {
	t.Helper()
	if c.Seed {
		for _, step := range []func() (string, error){
			func() (string, error) { return c.Login(t, "seeder", password) },
			func() (string, error) { return c.Push(t, repo) },
			func() (string, error) { return c.Logout(t) },
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
