package audit_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
)

// processFolder is the variable with the storage of a process that TestKill starts.
const processFolder = "AUDIT_TEST_FOLDER"

// open returns a registry with an outbox that delivers to an audit log.
func open(d driver.Driver) (*registry.Registry, *outbox.Outbox, *audit.Log, error) {
	l, err := audit.New(d, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	events, err := outbox.New(d, []outbox.Destination{{Name: "audit", Sink: l}}, &outbox.Options{Lease: time.Second})
	if err != nil {
		return nil, nil, nil, err
	}
	store, err := storage.New(context.Background(), d, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	reg, err := registry.New(store, &registry.Options{Sink: events})
	return reg, events, l, err
}

// pushForever pushes images, and prints a line for each push that is acknowledged. TestMain calls
// it in the process that TestKill starts.
func pushForever(folder string) {
	d, err := disk.New(folder, nil)
	if err != nil {
		panic(err)
	}
	reg, events, _, err := open(d)
	if err != nil {
		panic(err)
	}
	go func() { _ = events.Run(context.Background()) }()
	for i := range uint64(100_000) {
		image := registrytest.RandomImage(i, 1, 100)
		tag := fmt.Sprintf("t%d", i)
		if err := image.Push(context.Background(), reg.Backend(auth.Identity{Name: "ann"}), "acme/app", tag); err != nil {
			panic(err)
		}
		fmt.Println("pushed", tag)
	}
}

// TestKill: a process is killed while it pushes. Every push that was acknowledged is in the log,
// once.
func TestKill(t *testing.T) {
	folder := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), processFolder+"="+folder)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var pushed []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if tag, ok := strings.CutPrefix(lines.Text(), "pushed "); ok {
			pushed = append(pushed, tag)
		}
		if len(pushed) == 30 {
			require.NoError(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait()
	require.GreaterOrEqual(t, len(pushed), 30)

	d, err := disk.New(folder, nil)
	require.NoError(t, err)
	_, events, l, err := open(d)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- events.Run(ctx) }()
	count := func() map[string]int {
		counts := map[string]int{}
		for _, r := range all(t, l, &audit.Query{Actor: "ann", Action: "push", Repository: "acme/app"}) {
			for _, tag := range r.Tags {
				counts[tag]++
			}
		}
		return counts
	}
	require.Eventually(t, func() bool {
		counts := count()
		for _, tag := range pushed {
			if counts[tag] == 0 {
				return false
			}
		}
		return true
	}, 30*time.Second, 100*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	for tag, n := range count() {
		require.Equal(t, 1, n, tag)
	}
}
