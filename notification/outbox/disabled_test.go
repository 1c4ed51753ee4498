package outbox_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// slowStart is a driver whose list of disabled sinks takes a while.
func slowStart() *hooked {
	return &hooked{Driver: memory.New(nil), beforeList: func(prefix string) {
		if strings.HasPrefix(prefix, "e/x/") {
			time.Sleep(time.Second)
		}
	}}
}

// TestGoneAtOnce checks that a receiver that wants no more events is disabled also at the start.
func TestGoneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{fail: func(notification.Event) error { return notification.ErrGone }}
		o := newOutbox(t, slowStart(), nil, outbox.Destination{Name: "hook", Sink: in})
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		stop := run(t, o)
		time.Sleep(time.Minute)
		require.True(t, o.Stats("hook").Disabled)
		stop()
	})
}

// TestGoneAfterRestart checks that a disabled sink is not called after a restart.
func TestGoneAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := slowStart()
		in := &inbox{fail: func(notification.Event) error { return notification.ErrGone }}
		o := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		time.Sleep(time.Minute)
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		time.Sleep(time.Minute)
		stop()
		again := &inbox{}
		o = newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: again})
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v2")}))
		stop = run(t, o)
		time.Sleep(time.Minute)
		require.Empty(t, again.all())
		stop()
	})
}
