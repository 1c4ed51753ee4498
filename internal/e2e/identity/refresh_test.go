package identity

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestRefreshTokens: docker stores a refresh token instead of the password. podman and crane use it, too. It ends
// with the password or token of the login, and while its user is disabled.
func TestRefreshTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newSite(t, harness.Options{Storage: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log")})
	s.succeed(t, nil, annPassword, "setup", "ann")
	s.succeed(t, nil, bobPassword, "user", "add", "bob")
	s.succeed(t, nil, carlPassword, "user", "add", "carl")
	var made struct{ ID, Value string }
	s.succeed(t, &made, "", "token", "add", "carl", "laptop")
	s.secrets = append(s.secrets, annPassword, bobPassword, carlPassword, made.Value)
	docker, podman := harness.Docker(t), harness.Podman(t)
	users := []*refreshUser{{name: "ann"}, {name: "bob"}, {name: "carl"}}
	for i, secret := range []string{annPassword, bobPassword, made.Value} {
		u := users[i]
		u.prepare(t, s, docker, podman)
		s.secrets = append(s.secrets, u.login(t, secret))
		u.requireWork(t)
	}
	s.succeed(t, nil, "ann walks elsewhere now", "user", "password", "ann")
	s.succeed(t, nil, "", "user", "disable", "bob")
	s.succeed(t, nil, "", "token", "revoke", "carl", made.ID)
	time.Sleep(within)
	for _, u := range users {
		u.requireRefused(t)
	}
	users[0].login(t, "ann walks elsewhere now")
	users[0].requireWork(t)
	s.requireCleanLogs(t)
}

// refreshUser is a user with docker, and with other clients that use docker's file of credentials.
type refreshUser struct {
	name, addr            string
	docker, podman, crane *harness.Program
	dir                   string // of the configuration of docker
	layout                string
}

func (u *refreshUser) prepare(t *testing.T, s *site, docker, podman *harness.Program) {
	t.Helper()
	own := *docker
	u.addr, u.docker, u.podman, u.crane, u.dir = s.Addr, &own, podman, harness.NewProgram(t, "crane"), t.TempDir()
	u.docker.Env = append(slices.Clip(docker.Env), "DOCKER_CONFIG="+u.dir)
	u.crane.Env = append(u.crane.Env, "DOCKER_CONFIG="+u.dir)
	u.layout = harness.Layout(t, harness.Image(t, "amd64", t.Name()+u.name))
	u.docker.Run(t, "build", "-q", "-t", u.repo("app"), harness.BuildContext(t, t.Name()+u.name, ""))
}

// repo returns a repository of the user, with the address of the registry.
func (u *refreshUser) repo(name string) string { return u.addr + "/" + u.name + "/" + name }

// login logs docker in, and requires that it has stored a refresh token, which is returned, and no password.
func (u *refreshUser) login(t *testing.T, secret string) string {
	t.Helper()
	u.docker.Run(t, "login", "-u", u.name, "-p", secret, u.addr)
	content, err := os.ReadFile(filepath.Join(u.dir, "config.json"))
	require.NoError(t, err)
	var file struct {
		Auths map[string]struct{ Auth, IdentityToken string }
	}
	require.NoError(t, json.Unmarshal(content, &file))
	require.NotEmpty(t, file.Auths[u.addr].IdentityToken)
	require.Equal(t, base64.StdEncoding.EncodeToString([]byte(u.name+":")), file.Auths[u.addr].Auth, "no password")
	return file.Auths[u.addr].IdentityToken
}

// commands returns what the clients do.
func (u *refreshUser) commands(t *testing.T) map[string]func() (string, string, error) {
	return map[string]func() (string, string, error){
		"docker push": func() (string, string, error) { return u.docker.Try(t, "push", u.repo("app")) },
		"docker pull": func() (string, string, error) { return u.docker.Try(t, "pull", u.repo("app")) },
		"podman pull": func() (string, string, error) {
			file := filepath.Join(u.dir, "config.json")
			return u.podman.Try(t, "pull", "--tls-verify=false", "--authfile", file, u.repo("app"))
		},
		"crane push": func() (string, string, error) { return u.crane.Try(t, "push", u.layout, u.repo("crane")) },
		"crane pull": func() (string, string, error) {
			return u.crane.Try(t, "pull", u.repo("crane"), filepath.Join(t.TempDir(), "image.tar"))
		},
	}
}

func (u *refreshUser) requireWork(t *testing.T) {
	t.Helper()
	all := u.commands(t)
	for _, name := range []string{"docker push", "crane push", "docker pull", "podman pull", "crane pull"} {
		out, errs, err := all[name]()
		require.NoError(t, err, "%s: %s%s", name, out, errs)
	}
}

func (u *refreshUser) requireRefused(t *testing.T) {
	t.Helper()
	for name, run := range u.commands(t) {
		out, errs, err := run()
		require.Error(t, err, "%s of %s", name, u.name)
		require.Regexp(t, refusal, out+errs, "%s of %s", name, u.name)
	}
}
