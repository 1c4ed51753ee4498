package filter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/filter"
)

// collector is a sink that keeps what it accepts.
type collector struct {
	answer func(events []notification.Event) error

	mu  sync.Mutex
	got []notification.Event
}

func (c *collector) Notify(_ context.Context, events []notification.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if c.answer != nil {
		err = c.answer(events)
	}
	c.got = append(c.got, events[:notification.Delivered(err, len(events))]...)
	return err
}

func (c *collector) take() []notification.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.got
	c.got = nil
	return got
}

// pullOf returns a pull of a blob or manifest.
func pullOf(repo string, d digest.Digest, change func(*notification.Event)) notification.Event {
	e := notification.Event{
		ID: notification.NewID(), Time: time.Now(), Action: notification.Pull, Kind: notification.Manifest, Repository: repo,
		Target: &ocispec.Descriptor{Digest: d}, Actor: "ann", Instance: "a", Request: &notification.Request{Method: "GET"},
	}
	if change != nil {
		change(&e)
	}
	return e
}

func TestNewPullsInvalidOptionsRefused(t *testing.T) {
	_, err := filter.NewPulls(nil, nil)
	require.Error(t, err)
	for _, o := range []filter.PullsOptions{{Interval: -1}, {MaxKeys: -1}, {Flush: -1}} {
		_, err := filter.NewPulls(&collector{}, &o)
		require.ErrorContains(t, err, "negative")
	}
}

// TestPullsMergePerIntervalAndContent also checks that other events do not wait.
func TestPullsMergePerIntervalAndContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c collector
		p, err := filter.NewPulls(&c, nil)
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()

		tagged := func(tag, actor string) func(*notification.Event) {
			return func(e *notification.Event) { e.Tags, e.Actor = []string{tag}, actor }
		}
		single := pullOf("b", "sha256:1", nil)
		other := notification.Event{Action: notification.Push}
		require.NoError(t, p.Notify(ctx, []notification.Event{
			pullOf("a", "sha256:1", tagged("v1", "ann")), single, other, pullOf("a", "sha256:1", tagged("v2", "ann")),
		}))
		require.Equal(t, []notification.Event{other}, c.take())
		time.Sleep(30 * time.Second)
		last := pullOf("a", "sha256:1", tagged("v1", "bob"))
		last.Count = 5
		require.NoError(t, p.Notify(ctx, []notification.Event{last}))
		time.Sleep(29 * time.Second)
		require.Empty(t, c.take())
		time.Sleep(2 * time.Second)
		synctest.Wait()

		got := c.take()
		require.Len(t, got, 2)
		require.Equal(t, single, got[0])
		merged := last
		merged.ID, merged.Count, merged.Tags, merged.Actor, merged.Request = got[1].ID, 7, []string{"v1", "v2"}, "", nil
		require.Equal(t, merged, got[1])
		require.NotEmpty(t, merged.ID)
		require.NotEqual(t, last.ID, merged.ID)

		require.NoError(t, p.Notify(ctx, []notification.Event{pullOf("a", "sha256:1", nil)}))
		require.ErrorContains(t, p.Run(ctx), "running")
		stop()
		require.NoError(t, <-ended)
		require.Len(t, c.take(), 1)
	})
}

// TestPullsMemoryIsBounded: pulls of further content are passed on at once.
func TestPullsMemoryIsBounded(t *testing.T) {
	var c collector
	p, err := filter.NewPulls(&c, &filter.PullsOptions{MaxKeys: 10})
	require.NoError(t, err)
	var events []notification.Event
	for i := range 100 {
		events = append(events, pullOf("a", digest.FromString(fmt.Sprint(i)), nil))
	}
	require.NoError(t, p.Notify(t.Context(), events))
	require.Equal(t, events[10:], c.take())
	require.NoError(t, p.Notify(t.Context(), events[:10]))
	require.NoError(t, p.Flush(t.Context()))
	got := c.take()
	require.Len(t, got, 10)
	for _, e := range got {
		require.Equal(t, 2, e.Count)
	}
	many := pullOf("a", "sha256:1", nil)
	for i := range 100 {
		many.Tags = []string{fmt.Sprint(i)}
		require.NoError(t, p.Notify(t.Context(), []notification.Event{many}))
	}
	require.NoError(t, p.Flush(t.Context()))
	require.Len(t, c.take()[0].Tags, 32)
}

// TestPullsKeepWhatIsNotDelivered: merged events are repeated with the same IDs, and pulls of the
// meantime are merged into further events.
func TestPullsKeepWhatIsNotDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		var ids [][]string
		down := errors.New("down")
		c := collector{answer: func(events []notification.Event) error {
			var list []string
			for _, e := range events {
				list = append(list, e.ID)
			}
			switch ids = append(ids, list); len(ids) {
			case 1:
				return notification.Partial(1, down)
			case 2:
				panic("oh")
			}
			return nil
		}}
		p, err := filter.NewPulls(&c, &filter.PullsOptions{OnError: func(err error) { errs = append(errs, err) }})
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		for range 2 {
			for _, repo := range []string{"a", "b", "c"} {
				require.NoError(t, p.Notify(ctx, []notification.Event{pullOf(repo, "sha256:1", nil)}))
			}
		}
		time.Sleep(90 * time.Second)
		require.NoError(t, p.Notify(ctx, []notification.Event{pullOf("b", "sha256:1", nil)}))
		time.Sleep(time.Hour)
		stop()
		require.NoError(t, <-ended)
		require.Len(t, ids, 4)
		require.Equal(t, ids[0][1:], ids[1])
		require.Equal(t, ids[0][1:], ids[2])
		require.Len(t, errs, 2)
		sum := 0
		for _, e := range c.take() {
			sum += max(e.Count, 1)
		}
		require.Equal(t, 7, sum)
	})
}

// TestPullsRunEndReportsWhatIsLost also checks that the last attempt is limited in time.
func TestPullsRunEndReportsWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := notification.BatchFunc(func(ctx context.Context, _ []notification.Event) error {
			<-ctx.Done()
			return ctx.Err()
		})
		p, err := filter.NewPulls(hung, nil)
		require.NoError(t, err)
		ctx, stop := context.WithCancel(t.Context())
		require.NoError(t, p.Notify(ctx, []notification.Event{pullOf("a", "sha256:1", nil)}))
		stop()
		begin := time.Now()
		require.ErrorContains(t, p.Run(ctx), "1 merged events of pulls lost")
		require.Equal(t, 5*time.Second, time.Since(begin))
	})
}

// TestPullsRepeatingCountsOnce is a property: whatever the next sink fails at, a caller that
// repeats what is not delivered delivers each other event once, and each pull counts once.
func TestPullsRepeatingCountsOnce(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 2))
		c := collector{answer: func(events []notification.Event) error {
			return notification.Partial(random.IntN(len(events)+1), [...]error{nil, errors.New("down")}[random.IntN(2)])
		}}
		p, err := filter.NewPulls(&c, &filter.PullsOptions{MaxKeys: 1 + random.IntN(3)})
		require.NoError(t, err)
		pulls, others := 0, 0
		for range 5 {
			events := make([]notification.Event, 1+random.IntN(8))
			for i := range events {
				events[i] = notification.Event{Action: notification.Push}
				if random.IntN(2) == 0 {
					events[i] = pullOf("a", digest.Digest(fmt.Sprint(random.IntN(6))), nil)
					pulls++
				} else {
					others++
				}
			}
			for rest := events; len(rest) > 0; {
				rest = rest[notification.Delivered(p.Notify(t.Context(), rest), len(rest)):]
			}
		}
		for p.Flush(t.Context()) != nil {
			continue
		}
		for _, e := range c.take() {
			if e.Action == notification.Pull {
				pulls -= max(e.Count, 1)
			} else {
				others--
			}
		}
		require.Zero(t, pulls, "seed %d", seed)
		require.Zero(t, others, "seed %d", seed)
	}
}

// TestPullsConcurrentCallersLoseNothing runs callers and flushes at once.
func TestPullsConcurrentCallersLoseNothing(t *testing.T) {
	const callers, each = 8, 300
	var c collector
	p, err := filter.NewPulls(&c, &filter.PullsOptions{Interval: time.Millisecond, MaxKeys: 5})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range each {
				_ = p.Notify(ctx, []notification.Event{pullOf("a", digest.Digest(fmt.Sprint(i%20)), nil)})
			}
		})
	}
	wg.Wait()
	stop()
	require.NoError(t, <-ended)
	sum := 0
	for _, e := range c.take() {
		sum += max(e.Count, 1)
	}
	require.Equal(t, callers*each, sum)
}

func BenchmarkPulls(b *testing.B) {
	p, err := filter.NewPulls(&collector{}, nil)
	require.NoError(b, err)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		events := []notification.Event{pullOf("a", "sha256:1", nil)}
		for pb.Next() {
			_ = p.Notify(context.Background(), events)
		}
	})
}
