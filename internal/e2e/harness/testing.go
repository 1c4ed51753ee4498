package harness

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// New starts a registry that ends with the test. If the test fails, New prints the end of the log.
func New(t *testing.T, o Options) *Server {
	t.Helper()
	if o.Log == "" {
		o.Log = filepath.Join(t.TempDir(), "log")
	}
	s, err := Start(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if s.Running() {
			require.NoError(t, s.Stop())
		}
		if t.Failed() {
			t.Logf("registry:\n%s", s.Tail())
		}
	})
	return s
}

// Program is a client program with a configuration folder of its own.
type Program struct {
	Path string
	Env  []string // in addition to the environment of the test
	Args []string // before the arguments of each call
}

// NewProgram finds a program. If the program is missing, the test fails.
func NewProgram(t *testing.T, name string, args ...string) *Program {
	t.Helper()
	path, err := Tool(name)
	require.NoError(t, err)
	home := t.TempDir()
	// podman requires this file.
	require.NoError(t, os.WriteFile(filepath.Join(home, "auth.json"), []byte("{}"), 0o600))
	return &Program{Path: path, Args: args, Env: []string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_RUNTIME_DIR=" + home, "DOCKER_CONFIG=" + home,
		"REGCTL_CONFIG=" + filepath.Join(home, "regctl.json"), "REGISTRY_AUTH_FILE=" + filepath.Join(home, "auth.json"),
	}}
}

// Try runs the program for at most 3 minutes and returns its output.
func (p *Program) Try(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.Path, append(append([]string{}, p.Args...), args...)...)
	cmd.Env = append(os.Environ(), p.Env...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

// Run runs the program like Try, requires success, and returns stdout.
func (p *Program) Run(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, err := p.Try(t, args...)
	require.NoError(t, err, "%s %q\n%s%s", filepath.Base(p.Path), args, stdout, stderr)
	return stdout
}
