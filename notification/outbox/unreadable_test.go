package outbox_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// damaged is a driver that cannot read one object.
type damaged struct {
	driver.Driver
	key string
}

func (d *damaged) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	if key == d.key {
		return nil, driver.Info{}, errors.New("input/output error")
	}
	return d.Driver.Open(ctx, key, opts)
}

// TestUnreadableCursor checks that a cursor that cannot be read does not hold up the other streams.
func TestUnreadableCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &damaged{Driver: memory.New(nil)}
		in := &inbox{}
		var events []notification.Event
		for _, tag := range []string{"v1", "v2"} { // of two processes that end at once
			o := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
			events = append(events, push("app", tag))
			require.NoError(t, o.Notify(t.Context(), events[len(events)-1:]))
			time.Sleep(time.Second)
		}
		for info, err := range d.List(t.Context(), "e/c/", nil) {
			require.NoError(t, err)
			d.key = info.Key
			break
		}
		o := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		time.Sleep(5 * time.Minute)
		ids, _ := in.ids()
		require.Equal(t, []string{events[1].ID}, ids)
		stop()
	})
}
