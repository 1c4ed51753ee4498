package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Daemon starts a program that runs until the end of the test, and waits until ready succeeds. It
// stops the program by its process id when the test is over.
func Daemon(t *testing.T, ready func() error, name string, args ...string) {
	t.Helper()
	path, err := Tool(name)
	require.NoError(t, err)
	log := filepath.Join(t.TempDir(), name+".log")
	f, err := os.Create(log)
	require.NoError(t, err)
	defer f.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = f, f
	require.NoError(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-done
			t.Errorf("%s did not stop on SIGTERM", name)
		}
		if t.Failed() {
			b, _ := os.ReadFile(log)
			t.Logf("%s:\n%s", name, b[max(0, len(b)-4000):])
		}
	})
	deadline := time.Now().Add(90 * time.Second)
	for err = ready(); err != nil && time.Now().Before(deadline); err = ready() {
		select {
		case <-done:
			t.Fatalf("%s ended while starting", name)
		case <-time.After(200 * time.Millisecond):
		}
	}
	require.NoError(t, err, "%s is not ready", name)
}
