package sse_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/sse"
)

// journal is a log of the events of several replicas in memory.
type journal struct {
	mu      sync.Mutex
	streams map[string][]notification.Event
	changed chan struct{}
	reads   atomic.Int64 // calls of Since that are running
	lag     time.Duration
	down    atomic.Bool
	failed  atomic.Int64 // calls that found the log down
}

func newJournal() *journal {
	return &journal{streams: map[string][]notification.Event{}, changed: make(chan struct{})}
}

// sink returns the sink of one replica.
func (j *journal) sink(stream string) notification.Sink {
	return notification.BatchFunc(func(_ context.Context, events []notification.Event) error {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.streams[stream] = append(j.streams[stream], events...)
		close(j.changed)
		j.changed = make(chan struct{})
		return nil
	})
}

func (j *journal) End(context.Context) (string, error) {
	if j.down.Load() {
		return "", errors.New("down")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	at := map[string]int{}
	for name, events := range j.streams {
		at[name] = len(events)
	}
	return cursor(at), nil
}

func (j *journal) Since(ctx context.Context, from string, opts *outbox.SinceOptions) iter.Seq2[outbox.Entry, error] {
	return func(yield func(outbox.Entry, error) bool) {
		j.reads.Add(1)
		defer j.reads.Add(-1)
		at := map[string]int{}
		for part := range strings.FieldsFuncSeq(from, func(r rune) bool { return r == ',' }) {
			name, n, ok := strings.Cut(part, ":")
			var number int
			if _, err := fmt.Sscan(n, &number); !ok || err != nil {
				yield(outbox.Entry{}, outbox.ErrCursor)
				return
			}
			at[name] = number
		}
		follow := opts != nil && opts.Follow
		for {
			j.mu.Lock()
			changed := j.changed
			streams := maps.Clone(j.streams)
			j.mu.Unlock()
			for _, name := range slices.Sorted(maps.Keys(streams)) {
				for _, e := range streams[name][at[name]:] {
					if j.down.Load() {
						j.failed.Add(1)
						yield(outbox.Entry{}, errors.New("down"))
						return
					}
					at[name]++
					if !yield(outbox.Entry{Event: e, Cursor: cursor(at)}, nil) {
						return
					}
				}
			}
			if !follow {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			j.mu.Lock()
			lag := j.lag
			j.mu.Unlock()
			<-time.After(lag)
		}
	}
}

func cursor(at map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(at)) {
		parts = append(parts, fmt.Sprint(name, ":", at[name]))
	}
	return strings.Join(parts, ",")
}

// replicas serves two replicas with one log. Server i shows the events of all sinks.
func replicas(t testing.TB, j *journal, opts sse.Options) (servers []*httptest.Server, sinks []notification.Sink) {
	t.Helper()
	opts.Source = j
	for i := range 2 {
		h, server := newServer(t, &opts)
		require.NoError(t, h.Notify(t.Context(), push("ignored", 1)), "the events come from the log")
		servers, sinks = append(servers, server), append(sinks, j.sink(fmt.Sprint("replica", i)))
	}
	return servers, sinks
}

// TestSourceTwoReplicas: a client gets the events of both replicas, resumes at the other one without
// loss, and starts with the present. Repetitions are few.
func TestSourceTwoReplicas(t *testing.T) {
	servers, sinks := replicas(t, newJournal(), sse.Options{Keep: 50})
	notify(t, sinks[0], push("before", 3)...)
	s := open(t, servers[0], "", "", "")
	var sent, got []string
	seen, repeated := map[string]bool{}, 0
	take := func(n int) {
		for len(got) < n {
			id := s.take(1)[0].ID
			if seen[id] {
				repeated++
				continue
			}
			seen[id] = true
			got = append(got, id)
		}
	}
	for round := range 20 {
		for i := range 2 {
			sent = append(sent, ids(notify(t, sinks[i], push("a", 10)...))...)
		}
		take(len(sent) - 5)
		s.close() // in the middle
		s = open(t, servers[round%2], "", "", s.last)
		take(len(sent))
	}
	require.ElementsMatch(t, sent, got)
	require.Less(t, repeated, 100)
}

// TestSourceCatchesUp: a client that was away for longer than the memory of the Handler gets
// everything, also while new events arrive and the follower is behind.
func TestSourceCatchesUp(t *testing.T) {
	j := newJournal()
	j.lag = 5 * time.Millisecond
	servers, sinks := replicas(t, j, sse.Options{Keep: 10})
	s := open(t, servers[0], "", "", "")
	sent := ids(notify(t, sinks[0], push("a", 1)...))
	got := ids(s.take(1))
	s.close()
	sent = append(sent, ids(notify(t, sinks[1], push("a", 5000)...))...)
	idle := open(t, servers[1], "repository=none", "", "") // keeps the follower
	defer idle.close()
	s = open(t, servers[1], "", "", s.last)
	var all sync.WaitGroup
	var more [2][]string
	for i := range 2 {
		all.Go(func() {
			for range 100 {
				more[i] = append(more[i], ids(notify(t, sinks[i], push("b", 5)...))...)
			}
		})
	}
	got = append(got, ids(s.take(5000+2*100*5))...)
	all.Wait()
	sent = append(append(sent, more[0]...), more[1]...)
	require.ElementsMatch(t, sent, got)
	last := notify(t, sinks[0], push("c", 1)...)
	require.Equal(t, ids(last), ids(s.take(1)), "and none of them again")
}

// TestSourceFollowerBehind: events that a client has got from the log itself do not come again when
// the follower, which was behind, brings them.
func TestSourceFollowerBehind(t *testing.T) {
	j := newJournal()
	servers, sinks := replicas(t, j, sse.Options{})
	s := open(t, servers[0], "", "", "")
	sent := notify(t, sinks[0], push("a", 5)...)
	got := s.take(2)
	s.close()
	idle := open(t, servers[1], "", "", "")
	j.mu.Lock()
	j.lag = 300 * time.Millisecond
	j.mu.Unlock()
	sent = append(sent, notify(t, sinks[1], push("a", 5)...)...)
	s = open(t, servers[1], "", "", s.last)
	got = append(got, s.take(8)...)
	require.Equal(t, ids(sent), ids(got))
	idle.take(5)
	last := notify(t, sinks[0], push("c", 1)...)
	require.Equal(t, ids(last), ids(s.take(1)))
}

// TestSourceAfterPause: what happens while no client is connected is not lost for one that comes
// back.
func TestSourceAfterPause(t *testing.T) {
	j := newJournal()
	servers, sinks := replicas(t, j, sse.Options{})
	s := open(t, servers[0], "", "", "")
	sent := notify(t, sinks[0], push("a", 1)...)
	got := s.take(1)
	s.close()
	require.Eventually(t, func() bool { return j.reads.Load() == 0 }, 10*time.Second, time.Millisecond)
	sent = append(sent, notify(t, sinks[1], push("a", 3)...)...)
	s = open(t, servers[0], "", "", s.last)
	got = append(got, s.take(3)...)
	require.Equal(t, ids(sent), ids(got))
}

// TestSourceUnknownID: a client with an ID of something else hears that it has missed events.
func TestSourceUnknownID(t *testing.T) {
	servers, sinks := replicas(t, newJournal(), sse.Options{})
	s := open(t, servers[0], "", "", "nonsense")
	m, ok := s.next()
	require.True(t, ok)
	require.Equal(t, "missing", m.name)
	sent := notify(t, sinks[1], push("a", 1)...)
	require.Equal(t, ids(sent), ids(s.take(1)))
}

// TestSourceIsReadOnlyForClients: the log is read once for all clients, and not without any.
func TestSourceIsReadOnlyForClients(t *testing.T) {
	j := newJournal()
	servers, sinks := replicas(t, j, sse.Options{})
	require.Zero(t, j.reads.Load())
	for range 3 {
		var streams []*stream
		for range 10 {
			streams = append(streams, open(t, servers[0], "", "", ""))
		}
		sent := notify(t, sinks[1], push("a", 1)...)
		for _, s := range streams {
			require.Equal(t, ids(sent), ids(s.take(1)))
		}
		require.EqualValues(t, 1, j.reads.Load())
		for _, s := range streams {
			s.close()
		}
		require.Eventually(t, func() bool { return j.reads.Load() == 0 }, 10*time.Second, time.Millisecond)
		notify(t, sinks[0], push("unseen", 5)...)
	}
}

// TestSourceDown: streams survive a log that fails for a while, and miss nothing.
func TestSourceDown(t *testing.T) {
	j := newJournal()
	servers, sinks := replicas(t, j, sse.Options{Poll: time.Millisecond})
	s := open(t, servers[0], "", "", "")
	j.down.Store(true)
	sent := notify(t, sinks[0], push("a", 3)...)
	require.Eventually(t, func() bool { return j.failed.Load() >= 2 }, 10*time.Second, time.Millisecond)
	j.down.Store(false)
	require.Equal(t, ids(sent), ids(s.take(3)))
}
