package hub

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// TestImage builds the container image of the hub, pushes it into a hub, and runs it from there with podman. The image
// of the test has one platform; that of examples/hub/image has two.
func TestImage(t *testing.T) {
	s := newSite(t, 1, harness.Options{Storage: filepath.Join(t.TempDir(), "data")})
	s.want(t, 201, login{}, "POST", "/api/v1/setup", fmt.Sprintf(`{"token":%q,"name":"ann","password":%q}`,
		s.setupToken(t), annPassword))
	name := s.Addr + "/ann/hub:v1"
	buildImage(t, s.Addr, name)

	p := harness.Podman(t)
	p.Run(t, "login", "--tls-verify=false", "-u", "ann", "-p", annPassword, s.Addr)
	p.Run(t, "pull", "--tls-verify=false", name)
	require.Equal(t, "65532:65532\n", p.Run(t, "inspect", "-f", "{{.Config.User}}", name))
	require.Equal(t, "hub\n", p.Run(t, "inspect", "-f", `{{index .Config.Labels "org.opencontainers.image.title"}}`, name))

	addr, err := harness.FreeAddr()
	require.NoError(t, err)
	run := []string{"run", "--runtime", "runc", "--network", "host", "--ulimit", "nofile=1024:1024",
		"--ulimit", "nproc=100:100"}
	// The defaults of the image listen on all addresses. Without TLS, the hub refuses that.
	_, errs, err := p.Try(t, append(run, "--rm", name)...)
	require.Error(t, err)
	require.Contains(t, errs, "passwords would be sent without TLS")

	id := strings.TrimSpace(p.Run(t, append(run, "-d", name, "-addr", addr, "-storage", "/data")...))
	t.Cleanup(func() { _, _, _ = p.Try(t, "rm", "--force", "--time", "5", id) })
	eventually(t, time.Minute, func() error { return ready("http://" + addr + "/readyz") })
	out := p.Run(t, "logs", id)
	require.Regexp(t, regexp.MustCompile(`http://`+regexp.QuoteMeta(addr)+`/setup\?token=\w+`), out)
	p.Run(t, "stop", "--time", "20", id)
	require.Equal(t, "0\n", p.Run(t, "inspect", "-f", "{{.State.ExitCode}}", id), "it has ended gracefully")
}

// buildImage builds the image for the platform of this machine, and pushes it as ann.
func buildImage(t *testing.T, host, name string) {
	t.Helper()
	docker := filepath.Join(t.TempDir(), "config.json")
	content, err := json.Marshal(map[string]any{"auths": map[string]any{
		host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("ann:" + annPassword))}}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(docker, content, 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "run", "./examples/hub/image", "-push", "http://"+name,
		"-platforms", "linux/"+runtime.GOARCH, "-docker-config", docker)
	cmd.Dir = harness.Root()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// ready returns an error unless a URL responds with 200.
func ready(url string) error {
	res, err := http.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return missing("%s: %s", url, res.Status)
	}
	return nil
}
