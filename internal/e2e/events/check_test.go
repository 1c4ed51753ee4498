package events

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"
)

// full makes the tests as long as those of `make events`.
var full = flag.Bool("full", false, "run the long form of the tests")

// size returns short, or long with the flag -full.
func size(short, long int) int {
	if *full {
		return long
	}
	return short
}

// place is what an event of a push is found by.
type place struct {
	repo   string
	digest digest.Digest
	tag    string
}

func (p pushed) place() place { return place{p.repo, p.digest, p.tag} }

// announced returns the places of which the receiver has a push event.
func announced(events []event) map[place]int {
	found := map[place]int{}
	for _, e := range events {
		if e.Action != "push" || e.Kind != "manifest" {
			continue
		}
		for _, tag := range e.Tags {
			found[place{e.Repository, e.Target.Digest, tag}]++
		}
	}
	return found
}

// missing returns the pushes that were not announced.
func missing(pushes []pushed, events []event) []pushed {
	found := announced(events)
	return slices.DeleteFunc(slices.Clone(pushes), func(p pushed) bool { return found[p.place()] > 0 })
}

// unknown returns the pushes of whose manifests there is no event at all.
func unknown(pushes []pushed, events []event) []pushed {
	known := map[digest.Digest]bool{}
	for _, e := range events {
		known[e.Target.Digest] = true
	}
	return slices.DeleteFunc(slices.Clone(pushes), func(p pushed) bool { return known[p.digest] })
}

// requireAnnounced waits until the receiver has an event of every acknowledged push.
func requireAnnounced(t *testing.T, all *ledger, r *receiver, within time.Duration) {
	t.Helper()
	acked, _ := all.acknowledged()
	deadline := time.Now().Add(within)
	left := missing(acked, r.received())
	for len(left) > 0 && time.Now().Before(deadline) {
		pause(t.Context(), 100*time.Millisecond)
		left = missing(left, r.received())
	}
	require.Empty(t, left, "%d of %d acknowledged pushes have no event; the receiver: %v", len(left), len(acked),
		r.report(t))
}

// requireOrder requires that the events of each repository arrived in the order of its pushes,
// within each stream. The pushes of a repository follow each other, so their numbers are the order.
// Events that a Reindex found are in no order.
func requireOrder(t *testing.T, all *ledger, events []event) (streams int) {
	t.Helper()
	acked, open := all.acknowledged()
	numbers := map[digest.Digest]int{}
	for _, p := range append(acked, open...) {
		numbers[p.digest] = p.number
	}
	type stream struct{ instance, repo string }
	last := map[stream]int{}
	instances := map[string]bool{}
	for _, e := range events {
		number, ok := numbers[e.Target.Digest]
		if !ok || e.Found || e.Kind == "blob" {
			continue
		}
		s := stream{e.Instance, e.Repository}
		instances[e.Instance] = true
		require.GreaterOrEqual(t, number, last[s], "%s of push %d arrived after push %d of %+v", e.Action, number, last[s], s)
		last[s] = number
	}
	return len(instances)
}

// summary describes what a test has done.
func summary(t *testing.T, all *ledger, r *receiver) string {
	acked, open := all.acknowledged()
	duplicates, unseen := r.duplicates()
	return fmt.Sprintf("%d pushes acknowledged, %d not; %d requests failed; %d events received, %d twice or more "+
		"(%d receptions unknown to the sender); answers %v", len(acked), len(open), all.errors, len(r.received()),
		duplicates, unseen, r.report(t))
}
