package events

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// pushersAtOnce is the number of repositories that are pushed to at the same time.
const pushersAtOnce = 5

// TestKill pushes while the server is killed again and again, to a receiver that fails in every way.
// Every acknowledged push is received, in the order of its repository within a stream. There are at
// most as many duplicates as receptions that the sender could not know of, and for each kill the
// events of one second: the server notes about three times a second what was delivered.
func TestKill(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	r := newReceiver(t)
	r.flaky(seed, 20, status500, status429, closeFirst, hang, slow, closeAfter, fail500, truncated)
	o := options(t, webhookArgs(t, r.URL, quickRetries...))
	server, restart := restartable(t, o)
	all := &ledger{}
	pushers := newPushers(pushersAtOnce, seed, all, func() *harness.Client { return harness.NewClient(server().URL()) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		pushAll(ctx, pushers, size(300, 10_000)/pushersAtOnce)
		close(done)
	}()
	kills := 0
	for !ended(done, time.Duration(800+rng.IntN(1700))*time.Millisecond) {
		require.NoError(t, server().Kill())
		kills++
		restart()
	}
	require.Positive(t, kills)
	requireAnnounced(t, all, r, 5*time.Minute)

	// A restart runs Reindex, which also announces what is visible without having been acknowledged.
	require.NoError(t, server().Stop())
	restart()
	visible := requireVisibleAnnounced(t, all, r, harness.NewClient(server().URL()))
	require.NoError(t, server().Stop())

	streams := requireOrder(t, all, r.received())
	t.Logf("%d kills, %d streams, %d visible without an acknowledgement\n%s", kills, streams, visible, summary(t, all, r))
	duplicates, unseen := r.duplicates()
	require.LessOrEqual(t, duplicates, unseen+kills*r.busiest(time.Second))
}

// ended waits for done, for at most d.
func ended(done <-chan struct{}, d time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// requireVisibleAnnounced requires an event for each push that was not acknowledged and has
// happened nevertheless. It returns their number.
func requireVisibleAnnounced(t *testing.T, all *ledger, r *receiver, c *harness.Client) int {
	t.Helper()
	_, open := all.acknowledged()
	var visible []pushed
	for _, p := range open {
		there, err := c.Has(t.Context(), "/v2/"+p.repo+"/manifests/"+p.digest.String())
		require.NoError(t, err)
		if there {
			visible = append(visible, p)
		}
	}
	announced := func() bool { return len(unknown(visible, r.received())) == 0 }
	require.Eventually(t, announced, time.Minute, 100*time.Millisecond, "no event of %v", visible)
	return len(visible)
}
