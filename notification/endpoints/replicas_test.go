package endpoints_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestNotices: every replica knows a new, changed or removed endpoint within 10 seconds.
func TestNotices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		a, b := start(t, d, n, nil), start(t, d, n, nil)
		b.send(t, push("acme/app", "v0")) // b has listed the endpoints
		id, _ := a.create(t, "repository:acme/app", "one", nil)
		time.Sleep(10 * time.Second)
		first := b.send(t, push("acme/app", "v1"))
		synctest.Wait()
		require.Equal(t, first, n.ids("one"))
		_, err := a.Update(t.Context(), "ann", id, func(e *endpoints.Endpoint) error { e.URL = "https://two/"; return nil })
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		second := b.send(t, push("acme/app", "v2"))
		synctest.Wait()
		require.Equal(t, second, n.ids("two"))
		require.NoError(t, a.Remove(t.Context(), id, nil))
		time.Sleep(10 * time.Second)
		b.send(t, push("acme/app", "v3"))
		synctest.Wait()
		require.Len(t, n.all(), 2)
		require.Empty(t, keys(t, d, "d/p/"))
	})
}

// TestCreatorDies: an endpoint is noticed although its creator was killed before it changed the generation.
func TestCreatorDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		b := start(t, d, n, nil)
		b.send(t, push("acme/app", "v0"))
		limited := &failing{Driver: d, key: "d/g"}
		a, err := endpoints.New(limited, nil)
		require.NoError(t, err)
		_, _, err = a.Create(t.Context(), "ann", endpoints.Scope{}, endpoints.Settings{Name: "x", URL: "https://ci/",
			Format: "json"})
		require.ErrorIs(t, err, driver.ErrUnavailable)
		time.Sleep(2 * time.Minute)
		ids := b.send(t, push("acme/app", "v1"))
		synctest.Wait()
		require.Equal(t, ids, n.ids("ci"))
	})
}

// TestTakeOver: what a killed process has left is delivered by another one, in order. A process that ends is replaced
// at once.
func TestTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, kill := range []bool{true, false} {
			n, d := newReceivers(), memory.New(nil)
			a, b := start(t, d, n, nil), start(t, d, n, nil)
			id, _ := a.create(t, "registry", "down", nil)
			n.status("down", 500)
			var want []string
			for range 150 {
				want = append(want, a.send(t, push("acme/app", "v1"))...)
			}
			time.Sleep(time.Minute)
			attempts := a.deliveries(t, id, false)[0].Attempts
			if kill {
				a.kill()
			} else {
				a.stop()
			}
			n.status("down", 200)
			if kill {
				time.Sleep(20 * time.Second)
				require.Empty(t, n.at("down"), "the lease has not ended")
			}
			time.Sleep(40 * time.Second)
			require.Equal(t, want, n.ids("down"))
			list := b.deliveries(t, id, false)
			require.Equal(t, endpoints.Delivered, list[len(list)-1].State)
			first, err := b.Delivery(t.Context(), id, want[0])
			if err == nil { // it may be trimmed
				require.Greater(t, first.Attempts, attempts)
			}
			require.Empty(t, keys(t, d, "d/p/"))
			time.Sleep(2 * time.Minute)
			require.Empty(t, keys(t, d, "d/h/"))
			b.stop()
		}
	})
}

// TestPaused: a process that was cut off while another one took over goes on without a loss, also with what it adds to
// its old place.
func TestPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		a, b := start(t, d, n, nil), start(t, d, n, nil)
		a.create(t, "registry", "down", nil)
		a.create(t, "registry", "up", nil)
		n.status("down", 500)
		want := a.send(t, push("acme/app", "v1"), push("acme/app", "v2"))
		a.storage.cut.Store(true)
		time.Sleep(2 * time.Minute) // b has taken over
		require.ErrorIs(t, a.Notify(t.Context(), []notification.Event{push("acme/app", "lost")}), driver.ErrUnavailable)
		a.storage.cut.Store(false)
		want = append(want, a.send(t, push("acme/app", "v3"))...)
		time.Sleep(time.Minute)
		require.ElementsMatch(t, want, n.ids("up"))
		n.status("down", 200)
		time.Sleep(time.Hour)
		require.ElementsMatch(t, want, n.ids("down"))
		require.Empty(t, keys(t, d, "d/p/"))
		b.stop()
	})
}

// TestLateAddition: what a paused process adds to deliveries that were taken over is found although another endpoint
// keeps the new holder busy.
func TestLateAddition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		slow := &slowPut{Driver: d, key: "d/p/", gate: make(chan struct{})}
		a, b := start(t, slow, n, nil), start(t, d, n, nil)
		a.create(t, "repository:acme/app", "down", nil)
		a.create(t, "repository:acme/other", "up", nil)
		n.status("down", 500)
		a.send(t, push("acme/app", "v1"))
		slow.slow.Store(true)
		e := push("acme/other", "v1")
		done := make(chan error)
		go func() { done <- a.Notify(context.Background(), []notification.Event{e}) }()
		synctest.Wait() // the write is on its way
		a.storage.cut.Store(true)
		time.Sleep(2 * time.Minute) // b has taken over
		close(slow.gate)
		require.NoError(t, <-done)
		time.Sleep(time.Minute)
		require.Equal(t, []string{e.ID}, n.ids("up"))
		b.stop()
	})
}

// TestAfterRun: events that come before Run begins and after it has ended are delivered.
func TestAfterRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		o := &endpoints.Options{}
		o.Webhook.Transport = n
		a, err := endpoints.New(d, o)
		require.NoError(t, err)
		_, _, err = a.Create(t.Context(), "ann", endpoints.Scope{}, endpoints.Settings{Name: "x", URL: "https://ci/",
			Format: "json"})
		require.NoError(t, err)
		one, two, three := push("acme/app", "v1"), push("acme/app", "v2"), push("acme/app", "v3")
		require.NoError(t, a.Notify(t.Context(), []notification.Event{one}))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, []string{one.ID}, n.ids("ci"))
		require.ErrorIs(t, a.Run(ctx), endpoints.ErrRunning)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, a.Notify(t.Context(), []notification.Event{two}))
		require.NoError(t, a.Notify(t.Context(), []notification.Event{three}))
		time.Sleep(time.Hour)
		require.Len(t, n.at("ci"), 1)
		start(t, d, n, nil)
		synctest.Wait()
		require.ElementsMatch(t, []string{one.ID, two.ID, three.ID}, n.ids("ci"))
	})
}

// TestKills announces events on replicas that are killed and replaced at random, with outboxes. Every acknowledged
// event arrives at every endpoint that is up at last, and nothing is left behind.
func TestKills(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { kills(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func kills(t *testing.T, r *rand.Rand) {
	n, d := newReceivers(), memory.New(nil)
	n.respond("flaky", func(notification.Event) (int, http.Header) {
		return []int{200, 200, 500, 0, 503}[rand.IntN(5)], nil
	})
	type replica struct {
		*process
		box  *outbox.Outbox
		stop func()
	}
	launch := func() *replica {
		p := start(t, d, n, nil)
		box, err := outbox.New(p.storage, []outbox.Destination{{Name: "endpoints", Sink: p}}, nil)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- box.Run(ctx) }()
		stop := sync.OnceFunc(func() { cancel(); <-ended })
		t.Cleanup(stop)
		return &replica{p, box, stop}
	}
	replicas := []*replica{launch(), launch()}
	id, _ := replicas[0].create(t, "registry", "flaky", nil)
	replicas[0].create(t, "namespace:acme", "good", nil)
	time.Sleep(10 * time.Second)
	var acknowledged []string
	for range 200 {
		k := r.IntN(2)
		e := push("acme/app", "v1")
		switch err := replicas[k].box.Notify(t.Context(), []notification.Event{e}); {
		case err == nil:
			acknowledged = append(acknowledged, e.ID)
		case !errors.Is(err, notification.ErrNotRecorded):
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		if r.IntN(30) == 0 {
			replicas[k].storage.cut.Store(true)
			replicas[k].stop()
			replicas[k].kill()
			replicas[k] = launch()
		}
	}
	n.status("flaky", 200)
	time.Sleep(30 * time.Minute)
	for _, host := range []string{"flaky", "good"} {
		got := n.ids(host)
		for _, id := range acknowledged {
			require.True(t, slices.Contains(got, id), "%s has not got %s", host, id)
		}
	}
	require.Empty(t, keys(t, d, "d/p/"))
	time.Sleep(3 * time.Hour)
	require.Empty(t, keys(t, d, "d/h/"))
	require.NoError(t, replicas[0].Remove(t.Context(), id, nil))
	require.NotContains(t, fmt.Sprint(keys(t, d, "d/")), string(id))
	require.Empty(t, keys(t, d, "e/d/"))
}

// TestOwner: when a namespace belongs to another account, its endpoints get nothing more and are removed.
func TestOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		var mu sync.Mutex
		owners := map[string]string{"acme": "1", "bob": "2", "alpine": "3"}
		set := func(namespace, id string) {
			mu.Lock()
			defer mu.Unlock()
			owners[namespace] = id
		}
		down := errors.New("the directory is down")
		p := start(t, d, n, func(o *endpoints.Options) {
			o.Owner = func(_ context.Context, namespace string) (string, error) {
				mu.Lock()
				defer mu.Unlock()
				if owners[namespace] == "down" {
					return "", down
				}
				return owners[namespace], nil
			}
		})
		id, _ := p.create(t, "repository:acme/app", "old", nil)
		p.create(t, "namespace:later", "early", nil) // of an admin, before there is such an account
		p.create(t, "registry", "all", nil)
		p.create(t, "repository:alpine", "single", nil)
		first := p.send(t, push("acme/app", "v1"), push("later/app", "v1"), push("alpine", "v1"))
		synctest.Wait()
		require.Equal(t, first[:1], n.ids("old"))
		require.Equal(t, first[1:2], n.ids("early"))
		require.Equal(t, first[2:], n.ids("single"))
		set("acme", "down") // the event waits, and those of other namespaces do not
		second := p.send(t, push("acme/app", "v2"), push("later/app", "v2"))
		synctest.Wait()
		require.Len(t, n.at("old"), 1)
		require.Len(t, n.at("early"), 2)
		_, err := p.Get(t.Context(), id)
		require.ErrorIs(t, err, down)
		set("acme", "1")
		time.Sleep(10 * time.Second)
		require.Equal(t, append(first[:1:1], second[0]), n.ids("old"))
		set("acme", "7")
		set("later", "8")
		set("alpine", "9") // the repository of the name belongs to the account, too
		p.send(t, push("acme/app", "v3"), push("later/app", "v3"), push("alpine", "v3"))
		synctest.Wait()
		require.Len(t, n.at("old"), 2)
		require.Len(t, n.at("early"), 2)
		require.Len(t, n.at("single"), 1)
		require.Len(t, n.at("all"), 8)
		_, err = p.Get(t.Context(), id)
		require.ErrorIs(t, err, endpoints.ErrUnknown)
		require.Empty(t, list(t, p.Endpoints, endpoints.Scope{Repository: "acme/app"}))
		next, _ := p.create(t, "repository:acme/app", "new", nil) // of the new owner
		time.Sleep(2 * time.Hour)
		require.Empty(t, keys(t, d, "d/l/"+string(id)+"/"))
		require.Len(t, keys(t, d, "d/e/"), 2)
		ids := p.send(t, push("acme/app", "v4"))
		synctest.Wait()
		require.Equal(t, ids, n.ids("new"))
		_, err = p.Get(t.Context(), next)
		require.NoError(t, err)
	})
}

// TestIdle: endpoints without events cost nothing but a few listings of each process.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		p := start(t, d, n, func(o *endpoints.Options) { o.MaxPerScope, o.MaxPerNamespace = 1000, 1000 })
		for i := range 1000 {
			_, _, err := p.Create(t.Context(), "ann", endpoints.Scope{Namespace: fmt.Sprintf("n%d", i/10)},
				endpoints.Settings{Name: "x", URL: auth.Secret(fmt.Sprintf("https://h%d/", i)), Format: "json"})
			require.NoError(t, err)
		}
		p.send(t, push("n1/app", "v1"))
		time.Sleep(2 * time.Minute)
		require.Len(t, n.all(), 10)
		puts, lists, others := p.storage.puts.Load(), p.storage.lists.Load(), p.storage.others.Load()
		time.Sleep(10 * time.Minute)
		require.Zero(t, p.storage.puts.Load()-puts)
		require.Zero(t, p.storage.others.Load()-others)
		require.LessOrEqual(t, p.storage.lists.Load()-lists, int64(45))
	})
}

// failing fails to write one key.
type failing struct {
	driver.Driver
	key string
}

func (f *failing) Put(ctx context.Context, key string, body io.Reader, o *driver.PutOptions) (driver.Info, error) {
	if key == f.key {
		return driver.Info{}, errCut
	}
	return f.Driver.Put(ctx, key, body, o)
}

// slowPut holds up writes of some keys.
type slowPut struct {
	driver.Driver
	key  string
	slow atomic.Bool
	gate chan struct{}
}

func (s *slowPut) Put(ctx context.Context, key string, body io.Reader, o *driver.PutOptions) (driver.Info, error) {
	if s.slow.Load() && strings.HasPrefix(key, s.key) {
		<-s.gate
	}
	return s.Driver.Put(ctx, key, body, o)
}
