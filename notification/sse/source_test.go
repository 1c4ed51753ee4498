package sse_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/sse"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// fast is the time between two polls in tests.
const fast = 5 * time.Millisecond

// replica is one process: an outbox, a Handler that reads it, and its server.
type replica struct {
	sink   notification.Sink
	server *httptest.Server
	driver *drivertest.Faulty
	down   atomic.Bool // the storage does not respond to this process
	failed atomic.Int64
}

// replicas starts two replicas on one storage. Each server shows the events of both.
func replicas(t testing.TB, opts sse.Options) [2]*replica {
	t.Helper()
	shared := memory.New(nil)
	var list [2]*replica
	for i := range list {
		r := &replica{}
		r.driver = drivertest.NewFaulty(shared, &drivertest.FaultyOptions{
			Before: func(context.Context, drivertest.Call) error {
				if r.down.Load() {
					r.failed.Add(1)
					return driver.ErrUnavailable
				}
				return nil
			}})
		log, err := outbox.New(r.driver, nil, nil)
		require.NoError(t, err)
		o := opts
		o.Source = log
		h, server := newServer(t, &o)
		require.NoError(t, h.Notify(t.Context(), push("ignored", 1)), "the events come from the log")
		r.sink, r.server = log, server
		list[i] = r
	}
	return list
}

// TestSourceTwoReplicas: a client gets the events of both replicas, resumes at the other one without
// loss, and starts with the present. Repetitions are few.
func TestSourceTwoReplicas(t *testing.T) {
	all := replicas(t, sse.Options{Keep: 50, Poll: fast})
	notify(t, all[0].sink, push("before", 3)...)
	s := open(t, all[0].server, "", "", "")
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
			sent = append(sent, ids(notify(t, all[i].sink, push("a", 10)...))...)
		}
		take(len(sent) - 5)
		s.close() // in the middle
		s = open(t, all[round%2].server, "", "", s.last)
		take(len(sent))
	}
	require.ElementsMatch(t, sent, got)
	require.Less(t, repeated, 100)
}

// TestSourceCatchesUp: a client that was away for longer than the memory of the Handler gets
// everything, also while new events arrive and the follower is behind.
func TestSourceCatchesUp(t *testing.T) {
	all := replicas(t, sse.Options{Keep: 10, Poll: fast})
	s := open(t, all[0].server, "", "", "")
	sent := ids(notify(t, all[0].sink, push("a", 1)...))
	got := ids(s.take(1))
	s.close()
	sent = append(sent, ids(notify(t, all[1].sink, push("a", 5000)...))...)
	idle := open(t, all[1].server, "repository=none", "", "") // keeps the follower
	defer idle.close()
	s = open(t, all[1].server, "", "", s.last)
	var senders sync.WaitGroup
	var more [2][]string
	for i := range 2 {
		senders.Go(func() {
			for range 100 {
				more[i] = append(more[i], ids(notify(t, all[i].sink, push("b", 5)...))...)
			}
		})
	}
	got = append(got, ids(s.take(5000+2*100*5))...)
	senders.Wait()
	sent = append(append(sent, more[0]...), more[1]...)
	require.ElementsMatch(t, sent, got)
	last := notify(t, all[0].sink, push("c", 1)...)
	require.Equal(t, ids(last), ids(s.take(1)), "and none of them again")
}

// TestSourceFollowerBehind: events that a client has got from the log itself do not come again when
// the follower, which was behind, brings them.
func TestSourceFollowerBehind(t *testing.T) {
	all := replicas(t, sse.Options{Poll: 500 * time.Millisecond})
	s := open(t, all[0].server, "", "", "")
	sent := notify(t, all[0].sink, push("a", 5)...)
	got := s.take(2)
	s.close()
	idle := open(t, all[1].server, "", "", "")
	more := notify(t, all[0].sink, push("a", 5)...) // which the follower of the other replica does not know yet
	s = open(t, all[1].server, "", "", s.last)
	sent = append(sent, more...)
	got = append(got, s.take(8)...)
	require.Equal(t, ids(sent), ids(got))
	require.Equal(t, ids(more), ids(idle.take(5)))
	last := notify(t, all[1].sink, push("c", 1)...)
	require.Equal(t, ids(last), ids(s.take(1)))
}

// TestSourceAfterPause: what happens while no client is connected is not lost for one that comes
// back.
func TestSourceAfterPause(t *testing.T) {
	all := replicas(t, sse.Options{Poll: fast})
	s := open(t, all[0].server, "", "", "")
	sent := notify(t, all[0].sink, push("a", 1)...)
	got := s.take(1)
	s.close()
	require.Eventually(t, func() bool { // the follower has ended
		before := all[0].driver.Count("")
		<-time.After(20 * fast)
		return all[0].driver.Count("") == before
	}, 10*time.Second, time.Millisecond)
	sent = append(sent, notify(t, all[1].sink, push("a", 3)...)...)
	s = open(t, all[0].server, "", "", s.last)
	got = append(got, s.take(3)...)
	require.Equal(t, ids(sent), ids(got))
}

// TestSourceUnknownID: a client with an ID of something else hears that it has missed events.
func TestSourceUnknownID(t *testing.T) {
	all := replicas(t, sse.Options{Poll: fast})
	s := open(t, all[0].server, "", "", "nonsense")
	m, ok := s.next()
	require.True(t, ok)
	require.Equal(t, "missing", m.name)
	sent := notify(t, all[1].sink, push("a", 1)...)
	require.Equal(t, ids(sent), ids(s.take(1)))
}

// TestSourceIsReadOnlyForClients: the log is not read without clients, and not more often for ten
// clients than for one.
func TestSourceIsReadOnlyForClients(t *testing.T) {
	all := replicas(t, sse.Options{Poll: fast})
	calls := func(during func()) int {
		before := all[0].driver.Count("")
		during()
		return all[0].driver.Count("") - before
	}
	idle := func() int { return calls(func() { <-time.After(20 * fast) }) }
	notify(t, all[1].sink, push("before", 1)...)
	require.Zero(t, idle())
	for range 2 {
		s := open(t, all[0].server, "", "", "")
		one := 0 // the maximum of three, because a busy machine may leave the source no time
		require.Eventually(t, func() bool {
			one = max(idle(), idle(), idle())
			return one > 0
		}, 10*time.Second, time.Millisecond)
		streams := []*stream{s}
		for range 9 {
			streams = append(streams, open(t, all[0].server, "", "", ""))
		}
		sent := notify(t, all[1].sink, push("a", 1)...)
		for _, s := range streams {
			require.Equal(t, ids(sent), ids(s.take(1)))
		}
		require.Eventually(t, func() bool { return idle() < 3*one }, 10*time.Second, time.Millisecond)
		for _, s := range streams {
			s.close()
		}
		require.Eventually(t, func() bool { return idle() == 0 }, 10*time.Second, time.Millisecond)
		notify(t, all[1].sink, push("unseen", 5)...)
	}
}

// TestSourceDown: streams survive a storage that fails for a while, and miss nothing.
func TestSourceDown(t *testing.T) {
	all := replicas(t, sse.Options{Poll: fast})
	s := open(t, all[0].server, "", "", "")
	all[0].down.Store(true)
	sent := notify(t, all[1].sink, push("a", 3)...)
	require.Eventually(t, func() bool { return all[0].failed.Load() >= 2 }, 10*time.Second, time.Millisecond)
	res, _ := get(t, all[0].server, "", "", s.last) // a client that comes meanwhile, and resumes
	defer res.Body.Close()
	all[0].down.Store(false)
	require.Equal(t, ids(sent), ids(s.take(3)))
}
