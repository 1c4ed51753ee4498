package quota

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLongCountsRest: deletes and refusals do not keep a large prefix being counted all the time.
func TestLongCountsRest(t *testing.T) {
	a := &account{q: &Quotas{settleAfter: 10 * time.Second}}
	now := time.Now()
	a.rests(now.Add(-time.Minute), now)
	a.noteDelete()
	a.noteRefusal()
	a.dirty = now
	require.False(t, a.due(now.Add(11*time.Second)))
	require.False(t, a.due(now.Add(9*time.Minute-time.Second)))
	require.True(t, a.due(now.Add(9*time.Minute)))
	a.rests(now, now)
	require.True(t, a.due(now.Add(11*time.Second)), "a short count is repeated as soon as before")
}
