//go:build full

package access

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// slow are the clients that only `make e2e-full` installs.
var slow = map[string]func(t *testing.T, addr string) *client{"helm": helm}

// helm pushes charts, whose name is the last component of the repository.
func helm(t *testing.T, addr string) *client {
	h := harness.NewProgram(t, "helm")
	chart := func(t *testing.T, name string) string {
		dir := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Chart.yaml"),
			[]byte("apiVersion: v2\nname: "+name+"\nversion: 0.1.0\n"), 0o644))
		out := t.TempDir()
		h.Run(t, "package", "--destination", out, dir)
		return filepath.Join(out, name+"-0.1.0.tgz")
	}
	return &client{
		login: func(t *testing.T, user, password string) (string, error) {
			return try(t, h, "registry", "login", "--plain-http", "-u", user, "-p", password, addr)
		},
		logout: func(t *testing.T) (string, error) { return try(t, h, "registry", "logout", addr) },
		pull: func(t *testing.T, repo string) (string, error) {
			return try(t, h, "pull", "--plain-http", "--destination", t.TempDir(), "oci://"+addr+"/"+repo, "--version", "0.1.0")
		},
		push: func(t *testing.T, repo string) (string, error) {
			return try(t, h, "push", "--plain-http", chart(t, filepath.Base(repo)), "oci://"+addr+"/"+filepath.Dir(repo))
		},
		seed: true,
	}
}
