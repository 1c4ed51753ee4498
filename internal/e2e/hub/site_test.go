package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/internal/upstreamtest"
)

var full = flag.Bool("full", false, "run the long form of the tests")

// within is the time in which a change takes effect on all replicas, as docs/identity.md states it: 10 seconds, and
// what a busy machine needs to run a command.
const within = 12 * time.Second

// config is the configuration of the hubs of the tests. Tags old-* go as soon as a newer one exists. UPSTREAM is
// replaced by the URL of a registry with the image library/app:v1.
const config = `
server: {trustedProxies: [127.0.0.1]}
accounts: {signUp: true}
collection: {grace: 2s}
retention:
  every: 24h
  rules:
  - name: old
    tags: ["old-*"]
    keep: {newest: 1}
usage: {every: 5s}
quota:
  limits:
  - prefix: "*"
    max: {bytes: 50MiB, repositories: 20}
events: {allowPrivate: true, lease: 2s}
mirror:
  upstreams:
  - name: hub.example
    urls: [UPSTREAM]
`

// site is replicas of examples/hub behind a balancer.
type site struct {
	*harness.Replicas
	log     string
	storage string   // or "" for a bucket
	secrets []string // all that must not be in the log
}

// newSite starts n replicas.
func newSite(t *testing.T, n int, o harness.Options) *site {
	t.Helper()
	program, err := harness.BuildHub()
	require.NoError(t, err)
	dir := t.TempDir()
	upstream := upstreamtest.New(t)
	upstream.Image("library/app", "v1", []byte("one"))
	file := filepath.Join(dir, "hub.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(config, "UPSTREAM", upstream.URL)), 0o600))
	o.Program, o.Log = program, filepath.Join(dir, "log")
	o.Args = append(o.Args, "-config", file)
	return &site{Replicas: harness.NewReplicas(t, n, o), log: o.Log, storage: o.Storage}
}

// disturb kills a random replica with SIGKILL while f runs, and starts it again.
func (s *site) disturb(t *testing.T, f func()) {
	t.Helper()
	var done sync.WaitGroup
	done.Go(f)
	s.Kill(t, int(time.Now().UnixNano())%len(s.Servers()))
	done.Wait()
}

// url returns the URL of a path on the balancer.
func (s *site) url(path string) string { return "http://" + s.Addr + path }

// login is what a caller of the API sends.
type login struct{ name, secret, session, address string }

// reply is a response.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// into decodes a body.
func (r reply) into(t *testing.T, v any) reply {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.body, v), "%s", r.body)
	return r
}

// do sends a request, and sends it again if a replica was killed meanwhile. headers are "Name: value".
func (s *site) do(t *testing.T, who login, method, path, body string, headers ...string) reply {
	t.Helper()
	for n := 0; ; n++ {
		r, err := s.try(t, who, method, path, body, headers...)
		if err == nil && r.status != http.StatusBadGateway || n == 10 {
			require.NoError(t, err)
			require.Less(t, r.status, 500, "%s %s: %s", method, path, r.body)
			return r
		}
		time.Sleep(500 * time.Millisecond)
	}
}

func (s *site) try(t *testing.T, who login, method, path, body string, headers ...string) (reply, error) {
	t.Helper()
	return s.at(t, s.Addr, who, method, path, body, headers...)
}

// at is try for the balancer or a replica, by its address.
func (s *site) at(t *testing.T, addr string, who login, method, path, body string, headers ...string) (reply, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	switch {
	case who.session != "":
		r.Header.Set("Authorization", "Bearer "+who.session)
	case who.name != "":
		r.SetBasicAuth(who.name, who.secret)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Accept" {
			r.Header.Add(name, value)
			continue
		}
		r.Header.Set(name, value)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, b}, err
}

// want sends a request and requires a status.
func (s *site) want(t *testing.T, status int, who login, method, path, body string, headers ...string) reply {
	t.Helper()
	r := s.do(t, who, method, path, body, headers...)
	require.Equal(t, status, r.status, "%s %s: %s", method, path, r.body)
	return r
}

// maintenance runs a command of examples/maintenance on the hub as a user, and returns its output. It runs it again if
// a replica was killed meanwhile.
func (s *site) maintenance(t *testing.T, who login, stdin string, args ...string) string {
	t.Helper()
	program, err := harness.BuildMaintenance()
	require.NoError(t, err)
	args = append(args, "-hub", s.url("/api"), "-quiet")
	if who.name != "" {
		file := filepath.Join(t.TempDir(), "secret")
		require.NoError(t, os.WriteFile(file, []byte(who.secret), 0o600))
		args = append(args, "-hub-user", who.name, "-hub-secret-file", file)
	}
	for n := 0; ; n++ {
		cmd := exec.CommandContext(t.Context(), program, args...)
		var out, errs bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			require.NoError(t, err)
		}
		if err == nil {
			return out.String()
		}
		cutOff := regexp.MustCompile(`EOF|refused|reset|status 502`).MatchString(errs.String())
		require.True(t, cutOff && n < 10, "%v: %s", args, errs.String())
		time.Sleep(500 * time.Millisecond)
	}
}

// eventually calls f until it returns nil.
func eventually(t *testing.T, limit time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			require.NoError(t, err)
		}
		time.Sleep(300 * time.Millisecond)
	}
}

// setupToken returns the one-time token that the replica which was started last has printed.
func (s *site) setupToken(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(s.log)
	require.NoError(t, err)
	all := regexp.MustCompile(`/setup\?token=([A-Za-z0-9_-]+)`).FindAllStringSubmatch(string(b), -1)
	require.NotEmpty(t, all, "%s", b)
	return all[len(all)-1][1]
}

// requireCleanLog requires that no request has failed because of the hub, and that the log has no secret.
func (s *site) requireCleanLog(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(s.log)
	require.NoError(t, err)
	log := string(b)
	require.NotRegexp(t, ` status=5\d\d `, log)
	require.NotContains(t, log, "panic")
	for _, secret := range s.secrets {
		require.NotContains(t, log, secret, "the log has a secret")
	}
}

// etag returns the header If-Match for a change of the object in a reply.
func (r reply) etag() string { return "If-Match: " + r.header.Get("ETag") }

// missing is an error for eventually.
func missing(format string, args ...any) error { return fmt.Errorf(format, args...) }
