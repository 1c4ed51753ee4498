package endpoints_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/storage/memory"
)

// TestRetries: the events of a receiver that is down arrive later in their order, and delay no others.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		p := start(t, d, n, nil)
		id, _ := p.create(t, "namespace:acme", "down", nil)
		p.create(t, "namespace:acme", "up", nil)
		n.wait("slow", 30*time.Second) // longer than the timeout
		slow, _ := p.create(t, "namespace:acme", "slow", nil)
		n.status("down", 503)
		var want []string
		for range 250 { // more than are kept in memory
			want = append(want, p.send(t, push("acme/app", "v1"))...)
		}
		synctest.Wait()
		require.Equal(t, want, n.ids("up"))
		require.Empty(t, n.ids("down"))
		time.Sleep(time.Hour)
		list := p.deliveries(t, id, false)
		require.Len(t, list, 1)
		require.Equal(t, want[0], list[0].ID)
		require.Equal(t, endpoints.Retrying, list[0].State)
		require.Equal(t, 503, list[0].Status)
		require.Equal(t, "what went wrong", list[0].Response)
		require.Contains(t, list[0].Error, "status 503")
		require.Greater(t, list[0].Attempts, 10)
		require.Less(t, list[0].Attempts, 30)
		require.True(t, list[0].Next.After(time.Now()))
		require.Contains(t, p.deliveries(t, slow, false)[0].Error, "deadline")
		_, err := p.Replay(t.Context(), id, want[0])
		require.ErrorIs(t, err, endpoints.ErrRetrying)

		n.status("down", 200)
		time.Sleep(20 * time.Minute)
		require.Equal(t, want, n.ids("down"))
		require.Len(t, n.at("down"), 250)
		list = p.deliveries(t, id, false)
		require.GreaterOrEqual(t, len(list), 100)
		require.Less(t, len(list), 130)
		require.Equal(t, want[249], list[0].ID)
		require.Equal(t, endpoints.Delivered, list[0].State)
		require.Equal(t, 1, list[0].Attempts)
	})
}

// TestChangeEndsPause: a user who corrects the URL does not wait for the next attempt.
func TestChangeEndsPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newReceivers()
		p := start(t, memory.New(nil), n, nil)
		id, _ := p.create(t, "registry", "wrong", nil)
		n.status("wrong", 404)
		ids := p.send(t, push("acme/app", "v1"))
		time.Sleep(time.Hour)
		_, err := p.Update(t.Context(), "ann", id, func(e *endpoints.Endpoint) error {
			e.URL = "https://right/"
			return nil
		})
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Equal(t, ids, n.ids("right"))
	})
}

// TestRetryAfter: the receiver says when it wants the next attempt.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newReceivers()
		p := start(t, memory.New(nil), n, nil)
		id, _ := p.create(t, "registry", "busy", nil)
		n.respond("busy", func(notification.Event) (int, http.Header) {
			return 429, http.Header{"Retry-After": {"1800"}}
		})
		p.send(t, push("acme/app", "v1"))
		time.Sleep(29 * time.Minute)
		require.Equal(t, 1, p.deliveries(t, id, false)[0].Attempts)
		n.status("busy", 200)
		time.Sleep(2 * time.Minute)
		require.Equal(t, 2, p.deliveries(t, id, false)[0].Attempts)
		require.Len(t, n.at("busy"), 1)
	})
}

// TestRefused: an event that the receiver refuses becomes dead soon, and can be sent again.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		p := start(t, d, n, nil)
		id, _ := p.create(t, "registry", "picky", nil)
		bad, good := push("acme/app", "bad"), push("acme/app", "good")
		n.respond("picky", func(e notification.Event) (int, http.Header) {
			if e.Tags[0] == "bad" {
				return 422, nil
			}
			return 200, nil
		})
		p.send(t, bad, good)
		time.Sleep(2 * time.Minute)
		require.Equal(t, []string{good.ID}, n.ids("picky"))
		dead := p.deliveries(t, id, true)
		require.Len(t, dead, 1)
		require.Equal(t, bad.ID, dead[0].ID)
		require.Equal(t, endpoints.Dead, dead[0].State)
		require.Equal(t, 422, dead[0].Status)
		all := p.deliveries(t, id, false)
		require.Equal(t, []string{good.ID, bad.ID}, []string{all[0].ID, all[1].ID})
		require.Empty(t, keys(t, d, "d/p/"))

		again, err := p.Replay(t.Context(), id, bad.ID)
		require.NoError(t, err)
		require.Equal(t, endpoints.Dead, again.State)
		require.Equal(t, dead[0].Attempts+1, again.Attempts)
		n.status("picky", 200)
		again, err = p.Replay(t.Context(), id, bad.ID)
		require.NoError(t, err)
		require.Equal(t, endpoints.Delivered, again.State)
		require.Empty(t, p.deliveries(t, id, true))
		require.Equal(t, []string{good.ID, bad.ID}, n.ids("picky"))
		again, err = p.Replay(t.Context(), id, good.ID) // also what was delivered
		require.NoError(t, err)
		require.Equal(t, 2, again.Attempts)
		require.Len(t, n.at("picky"), 3)
		_, err = p.Replay(t.Context(), id, notification.NewID())
		require.ErrorIs(t, err, endpoints.ErrUnknown)
	})
}

// TestGiveUp: an event for a receiver that is down for days becomes dead. Old dead deliveries are removed.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		p := start(t, d, n, func(o *endpoints.Options) { o.MaxDead = 3 })
		id, _ := p.create(t, "registry", "down", nil)
		n.status("down", 0)
		ids := p.send(t, push("acme/app", "v1"), push("acme/app", "v2"))
		time.Sleep(71 * time.Hour)
		require.Empty(t, p.deliveries(t, id, true))
		time.Sleep(90 * time.Minute)
		dead := p.deliveries(t, id, true)
		require.Len(t, dead, 2)
		require.Equal(t, ids, []string{dead[1].ID, dead[0].ID})
		require.Contains(t, dead[0].Error, "connection refused")
		require.Empty(t, keys(t, d, "d/p/"))
		time.Sleep(31 * 24 * time.Hour)
		require.Empty(t, p.deliveries(t, id, true))
		require.Empty(t, keys(t, d, "d/h/"))
	})
}

// TestGone: a 410 disables the endpoint. What waited is dead, and later events are not kept.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		p := start(t, d, n, nil)
		id, _ := p.create(t, "registry", "gone", nil)
		n.status("gone", 500)
		ids := p.send(t, push("acme/app", "v1"), push("acme/app", "v2"))
		time.Sleep(time.Minute)
		n.status("gone", 410)
		time.Sleep(time.Hour)
		e, err := p.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, endpoints.Gone, e.Disabled.Cause)
		require.Empty(t, e.Disabled.By)
		dead := p.deliveries(t, id, true)
		require.Len(t, dead, 2)
		require.Equal(t, 410, dead[1].Status)
		require.Equal(t, "the webhook is disabled", dead[0].Error)
		n.status("gone", 200)
		p.send(t, push("acme/app", "v3"))
		time.Sleep(time.Hour)
		require.Empty(t, n.at("gone"))
		require.Empty(t, keys(t, d, "d/p/"))

		tested, err := p.Test(t.Context(), "ann", id) // a disabled one can be tested
		require.NoError(t, err)
		require.Equal(t, endpoints.Delivered, tested.State)
		_, err = p.Update(t.Context(), "ann", id, func(e *endpoints.Endpoint) error { e.Disabled = nil; return nil })
		require.NoError(t, err)
		ids = append(ids, p.send(t, push("acme/app", "v4"))...)
		for _, old := range ids[:2] {
			_, err := p.Replay(t.Context(), id, old)
			require.NoError(t, err)
		}
		synctest.Wait()
		require.ElementsMatch(t, append(ids, tested.ID), n.ids("gone"))
	})
}

// TestTest: a test makes one attempt and returns what has happened.
func TestTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newReceivers()
		p := start(t, memory.New(nil), n, nil)
		for scope, repository := range map[string]string{"registry": "webhook-test", "namespace:acme": "acme/webhook-test",
			"repository:acme/app": "acme/app"} {
			id, _ := p.create(t, scope, "ci", func(s *endpoints.Settings) { s.Authorization = "Bearer sesame" })
			d, err := p.Test(t.Context(), "ann", id)
			require.NoError(t, err)
			require.Equal(t, endpoints.Delivered, d.State)
			require.True(t, d.Test)
			require.Equal(t, 1, d.Attempts)
			got := n.last(1)[0]
			require.Equal(t, "true", got.header.Get(endpoints.TestHeader))
			require.Equal(t, "Bearer sesame", got.header.Get("Authorization"))
			require.Equal(t, repository, got.events[0].Repository)
			require.Equal(t, "ann", got.events[0].Actor)
			listed := p.deliveries(t, id, false)
			require.Len(t, listed, 1)
			require.Equal(t, d.ID, listed[0].ID)
			n.status("ci", 500)
			d, err = p.Test(t.Context(), "ann", id)
			require.NoError(t, err)
			require.Equal(t, endpoints.Dead, d.State)
			require.Equal(t, 500, d.Status)
			require.Empty(t, p.deliveries(t, id, true), "a test is no dead letter")
			require.Len(t, p.deliveries(t, id, false), 2)
			n.status("ci", 200)
		}
		require.Len(t, n.all(), 3)
		id, _ := p.create(t, "registry", "slow", nil)
		n.wait("slow", time.Second)
		ended := make(chan error)
		go func() {
			_, err := p.Test(t.Context(), "ann", id)
			ended <- err
		}()
		synctest.Wait()
		_, err := p.Test(t.Context(), "ann", id)
		require.ErrorIs(t, err, endpoints.ErrBusy)
		require.NoError(t, <-ended)
		_, err = p.Test(t.Context(), "ann", "registry.aaaaaaaaaaaaaaaa")
		require.ErrorIs(t, err, endpoints.ErrUnknown)
	})
}

// TestMaxWaiting: an endpoint that is far behind hears that events are missing.
func TestMaxWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		p := start(t, d, n, func(o *endpoints.Options) { o.MaxWaiting = 10 })
		p.create(t, "registry", "down", nil)
		n.status("down", 500)
		var sent []string
		for range 30 {
			sent = append(sent, p.send(t, push("acme/app", "v1"))...)
		}
		require.Len(t, keys(t, d, "d/p/"), 11)
		n.status("down", 200)
		time.Sleep(time.Hour)
		got := n.at("down")
		require.Len(t, got, 11)
		require.Equal(t, notification.Missing, got[10].Action)
		require.Equal(t, int64(-1), got[10].Gap.Events)
		require.Equal(t, sent[:10], n.ids("down")[:10])
		later := p.send(t, push("acme/app", "v2"))
		synctest.Wait()
		require.Equal(t, later[0], n.ids("down")[11])
	})
}

// TestRemoved: an endpoint that is removed while it fails leaves nothing behind.
func TestRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		a, b := start(t, d, n, nil), start(t, d, n, nil)
		id, _ := a.create(t, "registry", "down", nil)
		n.status("down", 422)
		a.send(t, push("acme/app", "v1"))
		time.Sleep(5 * time.Minute) // a dead delivery
		n.status("down", 500)
		a.send(t, push("acme/app", "v2"), push("acme/app", "v3"))
		time.Sleep(time.Hour)
		require.NotEmpty(t, keys(t, d, "d/x/"))
		require.NoError(t, b.Remove(t.Context(), id, nil))
		a.send(t, push("acme/app", "v4")) // a may not know yet
		time.Sleep(10 * time.Second)
		attempts := a.storage.others.Load()
		for _, prefix := range []string{"d/p/", "d/x/", "d/l/", "d/e/"} {
			require.Empty(t, keys(t, d, prefix), prefix)
		}
		time.Sleep(time.Minute)
		require.Equal(t, []string{"d/g"}, keys(t, d, "d/"))
		require.Less(t, a.storage.others.Load()-attempts, int64(20), "nothing is tried again")
		_, err := a.Delivery(t.Context(), id, notification.NewID())
		require.ErrorIs(t, err, endpoints.ErrUnknown)
	})
}

// TestRotate: both secrets sign until the previous one ends, on every replica.
func TestRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		a, b := start(t, d, n, nil), start(t, d, n, nil)
		id, first := a.create(t, "registry", "ci", nil)
		signatures := func() int {
			a.send(t, push("acme/app", "v1"))
			b.send(t, push("acme/app", "v1"))
			synctest.Wait()
			last := n.last(2)
			require.Equal(t, count(last[0].header), count(last[1].header))
			return count(last[0].header)
		}
		time.Sleep(10 * time.Second) // b knows the endpoint
		require.Equal(t, 1, signatures())
		e, second, err := b.Rotate(t.Context(), "bob", id, time.Hour)
		require.NoError(t, err)
		require.NotEqual(t, first.Value(), second.Value())
		require.Equal(t, "bob", e.ChangedBy)
		require.Equal(t, time.Now().Add(time.Hour).UTC(), e.PreviousUntil.UTC())
		time.Sleep(10 * time.Second)
		require.Equal(t, 2, signatures())
		time.Sleep(time.Hour)
		require.Equal(t, 1, signatures())
		e, err = a.Get(t.Context(), id)
		require.NoError(t, err)
		require.Zero(t, e.PreviousUntil)
		_, third, err := a.Rotate(t.Context(), "bob", id, 0)
		require.NoError(t, err)
		require.NotEqual(t, second.Value(), third.Value())
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, signatures())
		_, _, err = a.Rotate(t.Context(), "bob", id, -1)
		require.ErrorIs(t, err, endpoints.ErrInvalid)
		require.Equal(t, "***", third.String())
	})
}

// count returns the number of signatures of a request.
func count(h http.Header) int {
	n := 1
	for _, c := range h.Get("webhook-signature") {
		if c == ' ' {
			n++
		}
	}
	return n
}
