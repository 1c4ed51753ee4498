package htpasswd_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/htpasswd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is a line of a password file.
func line(t testing.TB, name, password string, cost int) string {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	require.NoError(t, err)
	return name + ":" + string(hash) + "\n"
}

// site is a password file and the File that reads it.
type site struct {
	t      testing.TB
	path   string
	file   *htpasswd.File
	checks atomic.Int64 // the number of bcrypts
	work   atomic.Int64 // the sum of their costs

	mu    sync.Mutex
	clock time.Time
	told  []error
}

// newSite returns a site whose files contain lines and groups. Its clock only moves by pass.
func newSite(t testing.TB, lines, groups string, opts *htpasswd.Options) *site {
	s := &site{t: t, path: filepath.Join(t.TempDir(), "users"), clock: time.Now()}
	var o htpasswd.Options
	if opts != nil {
		o = *opts
	}
	s.write(lines)
	if groups != "" {
		o.Groups = s.path + ".groups"
		s.replace(o.Groups, groups)
	}
	o.Error = func(_ context.Context, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.told = append(s.told, err)
	}
	var err error
	s.file, err = htpasswd.New(s.path, &o)
	require.NoError(t, err)
	s.file.SetNow(s.now)
	s.before(func() {})
	return s
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(d)
}

// failed returns the errors that Options.Error received since the last call.
func (s *site) failed() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.told
	s.told = nil
	return list
}

// before makes each bcrypt call a function. The bcrypts are counted, too.
func (s *site) before(call func()) {
	s.file.Before(func(cost int) {
		s.checks.Add(1)
		s.work.Add(1 << cost)
		call()
	})
}

// write replaces the password file.
func (s *site) write(lines string) { s.replace(s.path, lines) }

func (s *site) replace(path, content string) {
	require.NoError(s.t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(s.t, os.Rename(path+".new", path))
}

// request returns a request with a name and a password, from an address.
func request(address, name, password string) *http.Request {
	r := httptest.NewRequest("GET", "/v2/", nil)
	r.RemoteAddr = address + ":4711"
	r.SetBasicAuth(name, password)
	return r
}

// login returns the error of a login from an address.
func (s *site) login(address, name, password string) error {
	who, err := s.file.Authenticate(request(address, name, password))
	if err == nil {
		require.Equal(s.t, name, who.Name)
	} else {
		require.Zero(s.t, who)
	}
	return err
}

// accepted requires that a login succeeds, and refused that it fails.
func (s *site) accepted(name, password string) {
	s.t.Helper()
	require.NoError(s.t, s.login("192.0.2.1", name, password))
}

func (s *site) refused(name, password string) {
	s.t.Helper()
	require.ErrorIs(s.t, s.login("192.0.2.1", name, password), auth.ErrCredentials)
}

// limited reports whether err says that the caller must wait.
func limited(err error) bool {
	var l *auth.LimitError
	return errors.As(err, &l) && l.RetryAfter > 0
}
