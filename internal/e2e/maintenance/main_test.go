package maintenance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

var full = flag.Bool("full", false, "run the long form of the tests")

// size returns the size of something in the short form of a test and in the long one.
func size(short, long int) int {
	if *full {
		return long
	}
	return short
}

// run runs examples/maintenance and returns its exit status and its output.
func run(t *testing.T, args ...string) (status int, out, errs string) {
	t.Helper()
	program, err := harness.BuildMaintenance()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// succeed runs examples/maintenance, requires the exit status 0, and decodes its JSON into v, unless
// v is nil.
func succeed(t *testing.T, v any, args ...string) {
	t.Helper()
	status, out, errs := run(t, append(args, "-json")...)
	require.Zero(t, status, "%v: %s\n%s", args, errs, out)
	if v != nil {
		require.NoError(t, json.Unmarshal([]byte(out), v), out)
	}
}

// write makes a file and returns its path.
func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// serve starts examples/server on a directory.
func serve(t *testing.T, storage string, args ...string) *harness.Server {
	t.Helper()
	return harness.New(t, harness.Options{Kind: harness.Ours, Storage: storage, Args: args,
		Log: filepath.Join(t.TempDir(), "log")})
}

// push pushes an image with crane. ref is "repository:tag".
func push(t *testing.T, s *harness.Server, ref, unique string) {
	t.Helper()
	harness.NewProgram(t, "crane").Run(t, "push", harness.Layout(t, harness.Image(t, "amd64", unique)), s.Addr+"/"+ref)
}
