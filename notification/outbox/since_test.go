package outbox_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/memory"
)

// TestSinceWhileWriting checks that a reader skips nothing that is written while it looks for what
// comes next.
func TestSinceWhileWriting(t *testing.T) {
	d := &hooked{Driver: memory.New(nil)}
	writer, reader := newOutbox(t, d.Driver, nil), newOutbox(t, d, nil)
	var want []string
	write := func(events int) {
		for range events {
			e := push("app", fmt.Sprint(len(want)))
			require.NoError(t, writer.Notify(t.Context(), []notification.Event{e}))
			want = append(want, e.ID)
		}
	}
	write(1)
	got, cursor := since(t, reader, "")
	once := sync.OnceFunc(func() { write(2) })
	d.afterOpen = func(_ string, err error) {
		if err != nil {
			once() // after the reader has found nothing, and before it lists
		}
	}
	for range 2 {
		ids, last := since(t, reader, cursor)
		got = append(got, ids...)
		if last != "" {
			cursor = last
		}
	}
	require.Equal(t, want, got)
}

// TestCursorStaysShort checks that a reader resumes although hundreds of processes came and went
// while one lived.
func TestCursorStaysShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		live := newOutbox(t, d, nil)
		stop := run(t, live)
		require.NoError(t, live.Notify(t.Context(), []notification.Event{push("app", "first")}))
		for range 600 {
			time.Sleep(time.Minute)
			o := newOutbox(t, d, nil)
			end := run(t, o)
			require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
			end()
		}
		ids, cursor := since(t, live, "")
		require.Len(t, ids, 601)
		require.Less(t, len(cursor), 12<<10)
		e := push("app", "last")
		require.NoError(t, live.Notify(t.Context(), []notification.Event{e}))
		ids, _ = since(t, live, cursor)
		require.Equal(t, []string{e.ID}, ids)
		stop()
	})
}
