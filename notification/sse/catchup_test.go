package sse_test

import (
	"context"
	"iter"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/sse"
)

// slowSource is a long log on a slow storage. Its cursors are numbers.
type slowSource struct{}

func (slowSource) End(context.Context) (string, error) { return "1000000", nil }

func (slowSource) Since(ctx context.Context, cursor string, opts *outbox.SinceOptions) iter.Seq2[outbox.Entry, error] {
	return func(yield func(outbox.Entry, error) bool) {
		if opts != nil && opts.Follow {
			<-ctx.Done()
			return
		}
		n, _ := strconv.Atoi(cursor)
		for ctx.Err() == nil {
			n++
			time.Sleep(time.Millisecond)
			e := notification.Event{ID: strconv.Itoa(n), Action: notification.Push, Repository: "other"}
			if !yield(outbox.Entry{Event: e, Cursor: strconv.Itoa(n)}, nil) {
				return
			}
		}
	}
}

// TestCatchUpKeepsConnection checks that a client that must pass many events of others gets comments
// and positions meanwhile: a proxy would cut it off otherwise, again and again at the same place.
func TestCatchUpKeepsConnection(t *testing.T) {
	_, server := newServer(t, &sse.Options{Heartbeat: 50 * time.Millisecond, Source: slowSource{}})
	s := open(t, server, "repository=mine", "", "1")
	for positions := 0; positions < 3; {
		require.True(t, s.lines.Scan())
		if strings.HasPrefix(s.lines.Text(), "id: ") {
			positions++
		}
	}
	s.close()
}
