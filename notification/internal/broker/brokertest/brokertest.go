// Package brokertest has what the tests of the broker sinks share.
package brokertest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
)

// repositories are those of Events. Two of them differ only in a dot and a slash.
var repositories = []string{"ann/app", "ann/my.app", "ann/my/app", "bob/app", "lib"}

// Events returns n pushes to several repositories.
func Events(n int) []notification.Event {
	events := make([]notification.Event, n)
	for i := range events {
		events[i] = notification.Event{
			ID: notification.NewID(), Time: time.Now().UTC(), Action: notification.Push, Kind: notification.Manifest,
			Repository: repositories[i%len(repositories)], Tags: []string{fmt.Sprintf("v%d", i)},
		}
	}
	return events
}

// Received is a message that a broker has stored.
type Received struct{ ID, Repository string }

// RequireDelivered checks that each event was received, and those of one repository in their order.
// A repeated event counts at its first place, because receivers drop the later ones. It returns
// the number of repeated events.
func RequireDelivered(t *testing.T, events []notification.Event, received []Received) (repeated int) {
	t.Helper()
	want, got := map[string][]string{}, map[string][]string{}
	for _, e := range events {
		want[e.Repository] = append(want[e.Repository], e.ID)
	}
	seen := map[string]bool{}
	for _, r := range received {
		if seen[r.ID] {
			repeated++
			continue
		}
		seen[r.ID] = true
		got[r.Repository] = append(got[r.Repository], r.ID)
	}
	require.Equal(t, want, got)
	return repeated
}
