package events

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestReplicasOnDisk has two servers share a directory.
func TestReplicasOnDisk(t *testing.T) {
	dir := t.TempDir()
	replicas(t, harness.Options{Storage: filepath.Join(dir, "data"), Log: filepath.Join(dir, "log")})
}

// TestReplicasOnS3 has two servers share a bucket.
func TestReplicasOnS3(t *testing.T) {
	replicas(t, harness.Options{Bucket: harness.NewMinIO(t), Log: filepath.Join(t.TempDir(), "log")})
}

// replicas pushes through two servers while the receiver is down, and kills one of them. The other
// one delivers the events of both.
func replicas(t *testing.T, o harness.Options) {
	r := newReceiver(t)
	r.set(func() fault { return status500 })
	o.Args = webhookArgs(t, r.URL, quickRetries...)
	f, err := harness.StartFleet(2, o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, f.Stop())
		if t.Failed() {
			t.Logf("registry:\n%s", f.Servers()[0].Tail())
		}
	})
	all := &ledger{}
	pushers := newPushers(pushersAtOnce, 1, all, f.Client)
	pushAll(t.Context(), pushers, size(8, 200))
	require.Empty(t, r.received())
	_, err = f.Kill()
	require.NoError(t, err)
	killed := time.Now()
	r.set(nil)
	requireAnnounced(t, all, r, 2*time.Minute)
	took := time.Since(killed)
	require.Equal(t, 2, requireOrder(t, all, r.received()), "events of both servers")
	t.Logf("all events after %v\n%s", took, summary(t, all, r))
}
