package outbox_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/driver"
)

// inbox is a receiver: it keeps what arrives, and fails as a test demands.
type inbox struct {
	mu     sync.Mutex
	events []notification.Event
	fail   func(e notification.Event) error
}

func (i *inbox) Notify(_ context.Context, events []notification.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n, e := range events {
		if i.fail != nil {
			if err := i.fail(e); err != nil {
				return notification.Partial(n, err)
			}
		}
		i.events = append(i.events, e)
	}
	return nil
}

// ids returns the events in the order in which they first arrived, and the number of duplicates.
func (i *inbox) ids() (first []string, duplicates int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	seen := map[string]bool{}
	for _, e := range i.events {
		if seen[e.ID] {
			duplicates++
			continue
		}
		seen[e.ID] = true
		first = append(first, e.ID)
	}
	return first, duplicates
}

func (i *inbox) all() []notification.Event {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]notification.Event(nil), i.events...)
}

// push returns the event of a push.
func push(repository, tag string) notification.Event {
	d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Size: 7,
		Digest: digest.FromString(repository + tag)}
	return notification.Event{ID: notification.NewID(), Time: time.Now().Round(0), Action: notification.Push,
		Kind: notification.Manifest, Repository: repository, Target: &d, Tags: []string{tag}}
}

func newOutbox(t *testing.T, d driver.Driver, opts *outbox.Options, sinks ...outbox.Destination) *outbox.Outbox {
	t.Helper()
	o, err := outbox.New(d, sinks, opts)
	require.NoError(t, err)
	return o
}

// run runs an outbox. stop ends it, and waits.
func run(t *testing.T, o *outbox.Outbox) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func since(t *testing.T, o *outbox.Outbox, cursor string) (ids []string, last string) {
	t.Helper()
	for e, err := range o.Since(t.Context(), cursor, nil) {
		require.NoError(t, err)
		ids, last = append(ids, e.Event.ID), e.Cursor
	}
	return ids, last
}
