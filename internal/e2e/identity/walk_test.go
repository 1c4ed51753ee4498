package identity

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// within is the time in which a change takes effect on all replicas, as docs/identity.md states it: 10 seconds,
// and what a busy machine needs to run a command.
const within = 12 * time.Second

// TestWalk has two replicas share a directory. The long form also has them share a bucket.
func TestWalk(t *testing.T) {
	t.Parallel()
	t.Run("disk", func(t *testing.T) {
		dir := t.TempDir()
		walk(t, harness.Options{Storage: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log")}, size(1, 3))
	})
	if *full {
		t.Run("s3", func(t *testing.T) {
			walk(t, harness.Options{Bucket: harness.NewMinIO(t), Log: filepath.Join(t.TempDir(), "log")}, 2)
		})
	}
}

// walk has all clients push and pull all the time, and makes changes in the middle. In no round, something fails
// that should work, and after the stated time, nothing works that should fail.
func walk(t *testing.T, o harness.Options, rounds int) {
	s := newSite(t, o)
	start := time.Now()
	at := func(what string) { t.Logf("%s after %v", what, time.Since(start).Round(time.Second/10)) }
	people := s.populate(t)
	all := newWorkers(t, s, people)
	at("clients were ready")
	stop := all.start(t)
	all.settle(t, 1)
	for round := range rounds {
		s.changes(t, all)
		at(fmt.Sprintf("round %d: changes were made", round))
		all.settle(t, 1)
		at("they were in effect")
		s.changesBack(t, all, round)
		at("they were taken back")
		all.settle(t, 1)
		at("that was in effect")
	}
	stop()
	t.Logf("judged:\n%s", all)
	s.requireCleanLogs(t)
}

// changes makes everything worse for somebody, at once.
func (s *site) changes(t *testing.T, all *workers) {
	t.Helper()
	s.issuer.rotate(t, ahead)
	all.ends("skopeo", func() { s.succeed(t, nil, "", "user", "disable", "bob") })
	all.ends("containerd", func() { s.succeed(t, nil, "", "team", "leave", "acme", "guests", "carl") })
	all.ends("anonymous", func() { s.succeed(t, nil, "", "visibility", "set", "acme/public", "private") })
	s.rotate(t)
	all.disturb(func() { s.Kill(t, 0) })
}

// changesBack makes it good again.
func (s *site) changesBack(t *testing.T, all *workers, round int) {
	t.Helper()
	all.begins("skopeo", func() { s.succeed(t, nil, "", "user", "enable", "bob") })
	all.begins("containerd", func() { s.succeed(t, nil, "", "team", "join", "acme", "guests", "carl") })
	all.begins("anonymous", func() { s.succeed(t, nil, "", "visibility", "set", "acme/public", "public") })
	s.requireOldSecretEnds(t)
	s.rotateSigningKey(t, round)
}

// people are the secrets of the accounts of a walk.
type people struct {
	robot string // the secret of acme+podman
	hal   string // a token of hal
}

const (
	annPassword  = "ann likes long walks"
	bobPassword  = "bob does not at all"
	carlPassword = "carl is only a guest"
)

// populate makes the first admin, an organisation with teams, users and robots, and a public image.
func (s *site) populate(t *testing.T) *people {
	t.Helper()
	s.succeed(t, nil, annPassword, "setup", "ann")
	for name, password := range map[string]string{"bob": bobPassword, "carl": carlPassword} {
		s.succeed(t, nil, password, "user", "add", name)
	}
	s.succeed(t, nil, "", "user", "add", "hal", "-no-password")
	s.succeed(t, nil, "", "org", "add", "acme", "-owner", "ann")
	for team, pattern := range map[string]string{"dev": "**", "guests": "guests/**"} {
		s.succeed(t, nil, "", "team", "add", "acme", team)
		s.succeed(t, nil, "", "team", "grant", "acme", team, "write", pattern)
	}
	for user, team := range map[string]string{"bob": "dev", "hal": "dev", "carl": "guests"} {
		s.succeed(t, nil, "", "team", "join", "acme", team, user)
	}
	s.succeed(t, nil, "", "robot", "add", "acme", "podman", "-grant", "write:podman/**")
	s.succeed(t, nil, "", "robot", "add", "acme", "ci", "-grant", "write:app/**")
	s.succeed(t, nil, "", "visibility", "set", "acme/public", "public")
	p := &people{}
	var made struct{ ID, Value string }
	s.succeed(t, &made, "", "token", "add", "acme+podman", "build")
	s.secretID, p.robot = made.ID, made.Value
	s.succeed(t, &made, "", "token", "add", "hal", "charts", "-expires", "30d", "-scope", "write:acme/charts/**")
	p.hal = made.Value
	s.secrets = append(s.secrets, annPassword, bobPassword, carlPassword, p.robot, p.hal)
	c := harness.CraneLogin(t, s.Addr)
	ok(t)(c.Login(t, "ann", annPassword))
	ok(t)(c.Push(t, "acme/public"))
	return p
}

// rotate rotates the secret of the robot, with both valid for a time, in which podman changes.
func (s *site) rotate(t *testing.T) {
	t.Helper()
	var made struct{ ID, Value string }
	s.succeed(t, &made, "", "token", "rotate", "acme+podman", s.secretID, "-grace", rotationGrace.String())
	s.oldSecret, s.oldEnds = s.secret(), time.Now().Add(rotationGrace)
	s.secretID = made.ID
	s.setSecret(made.Value)
}

// rotationGrace is how long both secrets are valid.
const rotationGrace = 15 * time.Second

// requireOldSecretEnds requires that the secret before the rotation is refused after the grace period.
func (s *site) requireOldSecretEnds(t *testing.T) {
	t.Helper()
	time.Sleep(time.Until(s.oldEnds.Add(within)))
	c := harness.CraneLogin(t, s.Addr)
	ok(t)(c.Login(t, "acme+podman", s.oldSecret))
	said, err := c.Pull(t, "acme/podman/app")
	require.Error(t, err, "the old secret")
	require.Regexp(t, refusal, said)
}

// requireCleanLogs requires that no request failed because of the servers, and that no log has a secret.
func (s *site) requireCleanLogs(t *testing.T) {
	t.Helper()
	log, err := os.ReadFile(s.options.Log)
	require.NoError(t, err)
	require.NotRegexp(t, ` status=5\d\d `, string(log))
	for _, secret := range s.secrets {
		require.NotContains(t, string(log), secret, "the log has a secret")
	}
}

// ok returns a function that requires the success of a client.
func ok(t *testing.T) func(said string, err error) {
	return func(said string, err error) {
		t.Helper()
		require.NoError(t, err, "%s", fmt.Sprint(said))
	}
}

// rotateSigningKey gives the replicas another key for tokens, as docs/identity.md says, and logs nobody out. The
// old key is still accepted: to wait until it is not needed any more would take minutes.
func (s *site) rotateSigningKey(t *testing.T, round int) {
	t.Helper()
	key := func(n int) string { return []string{"token", "odd", "even"}[n%3] }
	s.Restart(t, "-token-key", key(round), "-token-key", key(round+1))
	s.Restart(t, "-token-key", key(round+1), "-token-key", key(round))
}
