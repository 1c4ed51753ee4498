package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

var full = flag.Bool("full", false, "run the long form of the tests")

// size returns the size of something in the short form of a test and in the long one.
func size(short, long int) int {
	if *full {
		return long
	}
	return short
}

// site is two replicas of examples/server behind a balancer, with accounts, and an issuer of ID tokens for jobs.
type site struct {
	*harness.Replicas
	issuer  *issuer
	options harness.Options

	mu        sync.Mutex
	current   string // the secret of acme+podman
	loggedIn  string // the one with which podman has logged in
	secretID  string
	oldSecret string
	oldEnds   time.Time
	secrets   []string // all that must not be in a log
}

func newSite(t *testing.T, o harness.Options) *site {
	t.Helper()
	s := &site{issuer: newIssuer(t)}
	config := filepath.Join(t.TempDir(), "ci.yaml")
	require.NoError(t, os.WriteFile(config, []byte(`
name: ci
issuer: `+s.issuer.URL+`
audience: registry.example
rules:
- name: main builds the application
  claims: {repository: [acme/app], ref: [refs/heads/main]}
  robot: acme+ci
`), 0o600))
	o.Args = append(o.Args, "-accounts", "-accounts-setup", filepath.Join(t.TempDir(), "setup"), "-oidc-issuer", config,
		"-audit")
	s.options = o
	s.Replicas = harness.NewReplicas(t, 2, o)
	return s
}

// command runs a command for accounts of examples/maintenance. stdin is its standard input.
func (s *site) command(t *testing.T, stdin string, args ...string) (status int, out, errs string) {
	t.Helper()
	program, err := harness.BuildMaintenance()
	require.NoError(t, err)
	storage := s.options.Storage
	if b := s.options.Bucket; b != nil {
		storage = b.URL("")
	}
	cmd := exec.CommandContext(t.Context(), program, append([]string{"accounts"}, append(args, "-storage", storage)...)...)
	cmd.Env = os.Environ()
	if b := s.options.Bucket; b != nil {
		cmd.Env = append(cmd.Env, b.Env()...)
	}
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// succeed runs a command for accounts, requires success, and decodes its JSON into v, unless v is nil.
func (s *site) succeed(t *testing.T, v any, stdin string, args ...string) {
	t.Helper()
	status, out, errs := s.command(t, stdin, append(args, "-json")...)
	require.Zero(t, status, "%v: %s\n%s", args, errs, out)
	if v != nil {
		require.NoError(t, json.Unmarshal([]byte(out), v), out)
	}
}

// secret returns the present secret of acme+podman.
func (s *site) secret() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

func (s *site) setSecret(value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = value
	s.secrets = append(s.secrets, value)
}

// newLogin logs podman in if the secret of its robot is another than before.
func (s *site) newLogin(t *testing.T, podman *harness.LoginClient) {
	t.Helper()
	if now := s.secret(); now != s.loggedIn {
		ok(t)(podman.Login(t, "acme+podman", now))
		s.loggedIn = now
	}
}

// job returns the ID token of a job that may push the application.
func (s *site) job(t *testing.T) string {
	t.Helper()
	return s.issuer.token(t, map[string]any{"repository": "acme/app", "ref": "refs/heads/main"})
}
