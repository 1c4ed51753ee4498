package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/queue"
)

// receiver is a sink whose answers a test decides.
type receiver struct {
	answer func(call int, events []notification.Event) error // nil: accept all

	mu    sync.Mutex
	calls [][]string // IDs of each call
	got   []string   // IDs of the delivered events
}

func (r *receiver) Notify(_ context.Context, events []notification.Event) error {
	r.mu.Lock()
	call := len(r.calls)
	r.calls = append(r.calls, ids(events))
	r.mu.Unlock()
	var err error
	if r.answer != nil {
		err = r.answer(call, events)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, ids(events[:notification.Delivered(err, len(events))])...)
	return err
}

func (r *receiver) received() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.got...)
}

func ids(events []notification.Event) []string {
	list := make([]string, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}

// numbered returns events whose IDs are numbers.
func numbered(from, to int) []notification.Event {
	var list []notification.Event
	for i := from; i < to; i++ {
		list = append(list, notification.Event{ID: fmt.Sprint(i), Action: notification.Push})
	}
	return list
}

func newQueue(t *testing.T, next notification.Sink, opts *queue.Options) *queue.Queue {
	t.Helper()
	q, err := queue.New(next, opts)
	require.NoError(t, err)
	return q
}

// start runs q. The result ends it and returns its error.
func start(t *testing.T, q *queue.Queue) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	return func() error { cancel(); return <-ended }
}
