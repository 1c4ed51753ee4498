package outbox_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// logText is a log that a test reads while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestFailingSinkIsLogged checks that the log says soon that a sink fails, once an hour while it does,
// and when it works again.
func TestFailingSinkIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := &logText{}
		down := true
		in := &inbox{fail: func(notification.Event) error {
			if down {
				return errors.New("no route to host")
			}
			return nil
		}}
		o := newOutbox(t, memory.New(nil), &outbox.Options{Logger: text.logger()},
			outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		time.Sleep(time.Second)
		require.Contains(t, text.String(), "level=WARN")
		require.Contains(t, text.String(), `sink=hook error="no route to host"`)
		time.Sleep(150 * time.Minute)
		require.Equal(t, 3, strings.Count(text.String(), "the sink fails"))
		in.mu.Lock()
		down = false
		in.mu.Unlock()
		time.Sleep(15 * time.Minute)
		require.Equal(t, 1, strings.Count(text.String(), "accepts events again"))
		stop()
	})
}

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// TestDisabledIsLogged checks that a process that starts says that a sink is disabled.
func TestDisabledIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		_, err := d.Put(t.Context(), "e/x/hook", strings.NewReader("{}\n"), nil)
		require.NoError(t, err)
		text := &logText{}
		in := &inbox{}
		o := newOutbox(t, d, &outbox.Options{Logger: text.logger()}, outbox.Destination{Name: "hook", Sink: in})
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		stop := run(t, o)
		time.Sleep(time.Hour)
		require.Equal(t, 1, strings.Count(text.String(), "level=WARN"), text)
		require.Contains(t, text.String(), "sink=hook key=e/x/hook")
		require.NoError(t, d.Delete(t.Context(), "e/x/hook", ""))
		time.Sleep(time.Minute)
		require.Len(t, in.all(), 1)
		stop()
	})
}
