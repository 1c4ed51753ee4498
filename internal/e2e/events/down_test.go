package events

import (
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestReceiverDown pushes while the receiver is down, to a server with a webhook and to one without,
// in turns. After the run, the receiver starts and gets every event. The test prints how much
// longer a push takes with the webhook. Only the long form has enough rounds to judge that.
func TestReceiverDown(t *testing.T) {
	r := newReceiver(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := listener.Addr().String()
	require.NoError(t, listener.Close()) // connections are refused until the receiver starts

	with := harness.New(t, options(t, webhookArgs(t, "http://"+addr, quickRetries...)))
	without := harness.New(t, options(t, []string{"-log-level", "warn"}))
	all := &ledger{}
	for _, layer := range []int{1 << 10, 4 << 20} {
		sides := []*side{newSide("with", with, all, layer), newSide("without", without, &ledger{}, layer)}
		rounds := size(3, 41)
		if layer > 1<<20 {
			rounds = size(3, 21)
		}
		for round := range rounds + 1 { // the first one is the warm-up
			for _, s := range sides {
				s.round(t, size(4, 20), round > 0)
			}
			slices.Reverse(sides)
		}
		slices.SortFunc(sides, func(a, b *side) int { return -len(a.name) + len(b.name) })
		mine, other := median(sides[0].took), median(sides[1].took)
		t.Logf("layers of %d KiB: a push takes %v with the webhook and %v without, %.2f times as long (%d rounds)",
			layer>>10, mine, other, float64(mine)/float64(other), rounds)
	}
	require.Empty(t, r.received())

	listener, err = net.Listen("tcp", addr)
	require.NoError(t, err)
	back := &httptest.Server{Listener: listener, Config: r.Config}
	back.Start()
	defer back.Close()
	requireAnnounced(t, all, r, 16*time.Minute) // the longest pause after a failure
	require.Positive(t, requireOrder(t, all, r.received()))
	require.NoError(t, with.Stop())
	t.Log(summary(t, all, r))
}

// side is one of two servers that are compared.
type side struct {
	name string
	*pusher
	took []time.Duration // for a push, in each round
}

func newSide(name string, s *harness.Server, all *ledger, layer int) *side {
	p := newPushers(1, 1, all, func() *harness.Client { return harness.NewClient(s.URL()) })[0]
	p.repo, p.layer = fmt.Sprintf("events/%s-%d", name, layer), layer
	return &side{name: name, pusher: p}
}

// round makes n pushes, one after the other.
func (s *side) round(t *testing.T, n int, measured bool) {
	t.Helper()
	start := time.Now()
	s.run(t.Context(), s.next+n)
	if measured {
		s.took = append(s.took, time.Since(start)/time.Duration(n))
	}
	acked, open := s.all.acknowledged()
	require.Empty(t, open)
	require.NotEmpty(t, acked)
}

func median(took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[len(sorted)/2].Round(10 * time.Microsecond)
}
