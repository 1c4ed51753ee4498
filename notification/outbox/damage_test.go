package outbox_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestCursorDisappears checks that the events of a live stream arrive although somebody has removed
// its cursor, or everything that the outbox has stored, also after the process has stopped.
func TestCursorDisappears(t *testing.T) {
	for _, prefix := range []string{"e/c/", "e/"} {
		t.Run(prefix, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, in := memory.New(nil), &inbox{}
				o := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
				stop := run(t, o)
				require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v0")}))
				time.Sleep(2 * time.Second)
				for info, err := range d.List(t.Context(), prefix, nil) {
					require.NoError(t, err)
					require.NoError(t, d.Delete(t.Context(), info.Key, ""))
				}
				for i := range 3 {
					require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", fmt.Sprint("v", i+1))}))
					time.Sleep(2 * time.Second)
				}
				time.Sleep(time.Minute)
				require.Len(t, in.all(), 4)
				stop()
				second := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
				stop = run(t, second)
				require.NoError(t, second.Notify(t.Context(), []notification.Event{push("app", "v4")}))
				time.Sleep(time.Minute)
				require.Len(t, in.all(), 5)
				stop()
			})
		})
	}
}

// TestBatchWithHighNumber checks that an object that does not belong to a stream costs no request for
// each number before it.
func TestBatchWithHighNumber(t *testing.T) {
	for _, number := range []string{"0000000000100000", "7fffffffffffffff"} {
		t.Run(number, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, in := &countOpen{Driver: memory.New(nil)}, &inbox{}
				first := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
				require.NoError(t, first.Notify(t.Context(), []notification.Event{push("app", "v1")}))
				for info := range d.List(t.Context(), "e/s/", nil) {
					key := info.Key[:strings.LastIndex(info.Key, "/")+1] + number
					_, err := d.Put(t.Context(), key, strings.NewReader("x"), nil)
					require.NoError(t, err)
				}
				second := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
				stop := run(t, second)
				time.Sleep(2 * time.Minute)
				require.NotEmpty(t, in.all())
				require.Equal(t, []string{"v1"}, in.all()[0].Tags)
				require.Less(t, d.opens.Load(), int64(100))
				stop()
			})
		})
	}
}

// countOpen counts the reads of a driver.
type countOpen struct {
	driver.Driver
	opens atomic.Int64
}

func (d *countOpen) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	d.opens.Add(1)
	return d.Driver.Open(ctx, key, opts)
}
