package events

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// webhookArgs returns the flags with which a server sends its events to url, and with further lines
// of YAML for the webhook.
func webhookArgs(t *testing.T, url string, lines ...string) []string {
	t.Helper()
	dir := t.TempDir()
	secrets, hooks := filepath.Join(dir, "secrets"), filepath.Join(dir, "webhooks.yaml")
	require.NoError(t, os.WriteFile(secrets, []byte(secret+"\n"), 0o600))
	content := "webhooks:\n- name: test\n  url: " + url + "\n  format: json\n"
	for _, line := range lines {
		content += "  " + line + "\n"
	}
	require.NoError(t, os.WriteFile(hooks, []byte(content), 0o600))
	return []string{"-log-level", "warn", "-webhook-allow-private", "-webhook-secret-file", secrets, "-webhook", hooks,
		"-outbox-lease", lease.String(), "-outbox-reindex", "3s"}
}

// lease is how long a server waits before it delivers the events of one that was killed.
const lease = 2 * time.Second

// quickRetries are lines for webhookArgs: receivers of tests hang often.
var quickRetries = []string{"timeout: 1s"}

// options returns the options of a server that stores in a folder.
func options(t *testing.T, args []string) harness.Options {
	t.Helper()
	dir := t.TempDir()
	return harness.Options{Storage: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log"), Args: args}
}

// restartable starts a server. The second function starts it again at the same address, after the
// test has stopped or killed it.
func restartable(t *testing.T, o harness.Options) (server func() *harness.Server, restart func()) {
	t.Helper()
	current := harness.New(t, o)
	o.Addr = current.Addr
	t.Cleanup(func() { require.NoError(t, current.Kill()) })
	return func() *harness.Server { return current }, func() {
		var err error
		current, err = harness.Start(o)
		require.NoError(t, err)
	}
}

// logged returns the lines of the log of a server that contain text.
func logged(t *testing.T, s *harness.Server, text string) []string {
	t.Helper()
	content, err := os.ReadFile(s.Log)
	require.NoError(t, err)
	var found []string
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}
