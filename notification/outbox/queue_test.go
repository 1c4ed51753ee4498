package outbox_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/memory"
)

// TestManyEventsAtOnce checks that one operation may have any number of events, such as a restore.
func TestManyEventsAtOnce(t *testing.T) {
	var events []notification.Event
	for i := range 12_000 {
		events = append(events, push("app", fmt.Sprint(i)))
	}
	o := newOutbox(t, memory.New(nil), nil)
	require.NoError(t, o.Notify(t.Context(), events))
	ids, _ := since(t, o, "")
	require.Len(t, ids, len(events))
}
