package mirror

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
)

// private is an upstream in which ann may do everything, and bob may pull from team/bob.
func private(t *testing.T) *harness.Server {
	t.Helper()
	dir, users := t.TempDir(), ""
	for _, name := range []string{"ann", "bob"} {
		hash, err := bcrypt.GenerateFromPassword([]byte("secret of "+name), bcrypt.MinCost)
		require.NoError(t, err)
		users += name + ":" + string(hash) + "\n"
	}
	s := harness.New(t, harness.Options{Kind: harness.Ours, Storage: t.TempDir(), Args: []string{
		"-htpasswd", write(t, dir, "users", users), "-rules", write(t, dir, "rules.yaml", `rules:
- {who: {user: ann}, repositories: "**", actions: "*"}
- {who: {user: bob}, repositories: "team/bob", actions: pull}
`)}})
	crane := harness.NewProgram(t, "crane")
	crane.Run(t, "auth", "login", s.Addr, "-u", "ann", "-p", "secret of ann")
	for _, repo := range []string{"team/app", "team/bob"} {
		crane.Run(t, "push", harness.Layout(t, harness.Image(t, "amd64", repo)), s.Addr+"/"+repo+":v1")
	}
	return s
}

// status asks a mirror for a tag and returns the status. user may be "".
func status(t *testing.T, mirror *harness.Server, path, user, password string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, mirror.URL()+path, nil)
	require.NoError(t, err)
	req.Header = harness.Accept()
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, discard(res.Body))
	res.Body.Close()
	return res.StatusCode
}

// TestPassword: the mirror logs in to its upstream, and a corrected password works without a restart.
func TestPassword(t *testing.T) {
	s, dir := private(t), t.TempDir()
	user, password := write(t, dir, "user", "ann\n"), write(t, dir, "password", "an old secret\n")
	mirror := newMirror(t, fmt.Sprintf("upstreams: [{name: a.example, urls: [%q], usernameFile: %q, passwordFile: %q, "+
		"tagTTL: 0s, negativeTTL: 0s}]", s.URL(), user, password), harness.Options{})
	const path = "/v2/a.example/team/app/manifests/v1"
	require.Equal(t, http.StatusNotFound, status(t, mirror, path, "", ""), "refused, and not cached")
	write(t, dir, "password", "secret of ann\n")
	require.Equal(t, http.StatusOK, status(t, mirror, path, "", ""))
	harness.NewProgram(t, "crane").Run(t, "pull", mirror.Addr+"/a.example/team/app:v1",
		filepath.Join(t.TempDir(), "image.tar"))
}

// TestPassThrough: the upstream decides about each caller, also about what is cached.
func TestPassThrough(t *testing.T) {
	noInternet(t)
	s := private(t)
	mirror := newMirror(t, fmt.Sprintf("upstreams: [{name: a.example, urls: [%q], passThrough: true, proof: 1m}]",
		s.URL()), harness.Options{})
	const app, bob = "/v2/a.example/team/app/manifests/v1", "/v2/a.example/team/bob/manifests/v1"
	require.Equal(t, http.StatusUnauthorized, status(t, mirror, app, "", ""))
	require.Equal(t, http.StatusOK, status(t, mirror, app, "ann", "secret of ann"))
	require.Equal(t, http.StatusUnauthorized, status(t, mirror, app, "", ""), "cached")
	for _, password := range []string{"secret of bob", "wrong"} {
		got := status(t, mirror, app, "bob", password)
		require.Contains(t, []int{http.StatusForbidden, http.StatusUnauthorized}, got, password)
	}
	require.Equal(t, http.StatusOK, status(t, mirror, bob, "bob", "secret of bob"))

	c, hosts := harness.Containerd(t), t.TempDir()
	write(t, hosts, "a.example/hosts.toml", fmt.Sprintf("[host.%q]\ncapabilities = [\"pull\", \"resolve\"]\n",
		mirror.URL()))
	pull := func(user, repo string) error {
		_, _, err := c.Try(t, "images", "pull", "--hosts-dir", hosts, "--snapshotter", "native", "--user", user,
			"a.example/"+repo+":v1")
		return err
	}
	require.NoError(t, pull("ann:secret of ann", "team/app"))
	require.Error(t, pull("bob:secret of bob", "team/app"))
	require.NoError(t, pull("bob:secret of bob", "team/bob"))
}

// TestForeignCredentials: docker sends the credentials for Docker Hub to the mirror, which knows other
// users. Such a caller counts as anonymous.
func TestForeignCredentials(t *testing.T) {
	noInternet(t)
	p, dir := newPlace(t, harness.Ours), t.TempDir()
	p.push(t, "library/one:v1")
	hash, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	require.NoError(t, err)
	mirror := newMirror(t, "root: docker.io\nupstreams: [{name: docker.io, urls: ['http://"+p.seen.Addr+"']}]",
		harness.Options{Args: []string{"-htpasswd", write(t, dir, "users", "ann:"+string(hash)+"\n"), "-rules",
			write(t, dir, "rules.yaml", `rules:
- {who: everyone, repositories: "docker.io/**", actions: pull}
- {who: {user: ann}, repositories: "**", actions: "*"}
`)}})
	d := harness.Docker(t, "--registry-mirror", mirror.URL())
	// docker login would ask Docker Hub, so the file is written by hand: somebody:hub.
	write(t, dockerConfig(d), "config.json", `{"auths": {"https://index.docker.io/v1/": {"auth": "c29tZWJvZHk6aHVi"}}}`)
	d.Run(t, "pull", "one:v1")
	require.Equal(t, blobsOfImage, p.seen.Count(`^GET .*/blobs/`), "%s", p.seen)

	// A login with a wrong password fails nevertheless.
	c := harness.NewProgram(t, "skopeo")
	for password, ok := range map[string]bool{"secret": true, "wrong": false} {
		_, _, err := c.Try(t, "login", "--tls-verify=false", "-u", "ann", "-p", password, mirror.Addr)
		require.Equal(t, ok, err == nil, password)
	}
}
