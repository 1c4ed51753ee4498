package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestDelivers checks that events arrive in order, at each sink, and that a dead sink does not delay
// the other one.
func TestDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := &inbox{}, &inbox{fail: func(notification.Event) error { return errors.New("down") }}
		o := newOutbox(t, memory.New(nil), nil, outbox.Destination{Name: "good", Sink: good},
			outbox.Destination{Name: "bad", Sink: bad})
		stop := run(t, o)
		var want []string
		for i := range 20 {
			e := push("app", fmt.Sprint(i))
			want = append(want, e.ID)
			require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
		}
		synctest.Wait()
		got, duplicates := good.ids()
		require.Equal(t, want, got)
		require.Zero(t, duplicates)
		require.Equal(t, int64(20), o.Stats("good").Delivered)
		require.Equal(t, int64(20), o.Stats("bad").Pending)
		bad.mu.Lock()
		bad.fail = nil
		bad.mu.Unlock()
		time.Sleep(time.Minute)
		got, _ = bad.ids()
		require.Equal(t, want, got)
		stop()
	})
}

// TestTakesOver checks that another process delivers what a killed one has left, after the lease,
// and that the killed one cannot write behind its back.
func TestTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		a, b := drivertest.NewFaulty(d, nil), &inbox{}
		down := &inbox{fail: func(notification.Event) error { return errors.New("down") }}
		first := newOutbox(t, a, nil, outbox.Destination{Name: "hook", Sink: down})
		stopFirst := run(t, first)
		e := push("app", "v1")
		require.NoError(t, first.Notify(t.Context(), []notification.Event{e}))
		a.CutAfter(0)
		second := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: b})
		stop := run(t, second)
		time.Sleep(2 * time.Minute)
		got, _ := b.ids()
		require.Equal(t, []string{e.ID}, got)
		// The first process was only cut off from the storage.
		a.Heal()
		later := push("app", "v2")
		require.NoError(t, first.Notify(t.Context(), []notification.Event{later}))
		stopFirst()
		time.Sleep(2 * time.Minute)
		got, _ = b.ids()
		require.Equal(t, []string{e.ID, later.ID}, got)
		ids, _ := since(t, second, "")
		require.Equal(t, []string{e.ID, later.ID}, ids)
		stop()
	})
}

// TestNotRecorded checks that events that cannot be stored are an error, and are stored later under
// the same IDs.
func TestNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := drivertest.NewFaulty(memory.New(nil), nil)
		in := &inbox{}
		o := newOutbox(t, a, nil, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		synctest.Wait()
		a.CutAfter(0)
		e := push("app", "v1")
		require.ErrorIs(t, o.Notify(t.Context(), []notification.Event{e}), notification.ErrNotRecorded)
		a.Heal()
		time.Sleep(time.Minute)
		got, _ := in.ids()
		require.Equal(t, []string{e.ID}, got)
		stop()
	})
}

// TestGivesUp checks dead letters: of a refused event soon, and those behind it are delivered.
func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := strings.Repeat("x", 600)
		in := &inbox{fail: func(e notification.Event) error {
			if e.Tags[0] == "bad" {
				return fmt.Errorf("%w: %s", notification.ErrRefused, secret)
			}
			return nil
		}}
		o := newOutbox(t, memory.New(nil), nil, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		bad, good := push("app", "bad"), push("app", "good")
		require.NoError(t, o.Notify(t.Context(), []notification.Event{bad, good}))
		time.Sleep(time.Hour)
		got, _ := in.ids()
		require.Equal(t, []string{good.ID}, got)
		var letters []outbox.DeadLetter
		for l, err := range o.DeadLetters(t.Context(), "hook") {
			require.NoError(t, err)
			letters = append(letters, l)
		}
		require.Len(t, letters, 1)
		require.Equal(t, bad.ID, letters[0].Event.ID)
		require.Len(t, letters[0].Error, 500)
		require.Greater(t, letters[0].Attempts, 3)
		require.Equal(t, int64(1), o.Stats("hook").Dropped)

		_, err := o.Replay(t.Context(), "hook")
		require.ErrorIs(t, err, notification.ErrRefused)
		in.mu.Lock()
		in.fail = nil
		in.mu.Unlock()
		n, err := o.Replay(t.Context(), "hook", bad.ID)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		for range o.DeadLetters(t.Context(), "hook") {
			t.Error("a dead letter is left")
		}
		stop()
	})
}

// TestGone checks that a sink whose receiver wants no more events is disabled until Enable.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{fail: func(notification.Event) error { return notification.ErrGone }}
		o := newOutbox(t, memory.New(nil), nil, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		e := push("app", "v1")
		require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
		time.Sleep(time.Hour)
		require.True(t, o.Stats("hook").Disabled)
		require.Equal(t, int64(1), o.Stats("hook").Failed)
		in.mu.Lock()
		in.fail = nil
		in.mu.Unlock()
		require.NoError(t, o.Enable(t.Context(), "hook"))
		time.Sleep(time.Minute)
		got, _ := in.ids()
		require.Equal(t, []string{e.ID}, got)
		stop()
	})
}

// TestPanicIsContained checks that a sink that panics fails.
func TestPanicIsContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(t, memory.New(nil), nil, outbox.Destination{Name: "hook", Sink: notification.SinkFunc(
			func(context.Context, notification.Event) error { panic("no") })})
		stop := run(t, o)
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		synctest.Wait()
		require.ErrorContains(t, o.Stats("hook").LastError, "panicked")
		stop()
	})
}

// TestGap checks that a sink that is too far behind is told what is missing.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		in := &inbox{fail: func(notification.Event) error { return errors.New("down") }}
		o := newOutbox(t, d, &outbox.Options{MaxEvents: 10}, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		var ids []string
		for i := range 25 {
			e := push("app", fmt.Sprint(i))
			ids = append(ids, e.ID)
			require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
		}
		time.Sleep(10 * time.Second)
		in.mu.Lock()
		in.fail = nil
		in.mu.Unlock()
		time.Sleep(time.Hour)
		got := in.all()
		require.Equal(t, notification.Missing, got[0].Action)
		require.Equal(t, int64(15), got[0].Gap.Events)
		require.Equal(t, "count", got[0].Gap.Reason)
		first, _ := in.ids()
		require.Equal(t, ids[15:], first[1:])
		require.Equal(t, int64(15), o.Stats("hook").Dropped)
		batches := 0
		for range d.List(t.Context(), "e/s/", nil) {
			batches++
		}
		require.Equal(t, 10, batches)
		kept, _ := since(t, o, "")
		require.Equal(t, ids[15:], kept)
		stop()
	})
}

// TestRemovesDeliveredStreams checks that nothing is left of streams that are delivered, and that a
// process that writes seldom keeps its stream.
func TestRemovesDeliveredStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		in := &inbox{}
		one := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, one)
		require.NoError(t, one.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		synctest.Wait()
		stop()
		two := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
		stop = run(t, two)
		require.NoError(t, two.Notify(t.Context(), []notification.Event{push("app", "v2")}))
		time.Sleep(9 * 24 * time.Hour)
		var keys []string
		for info := range d.List(t.Context(), "e/", nil) {
			keys = append(keys, info.Key[:4])
		}
		require.Equal(t, []string{"e/c/"}, keys, "the cursor of the stream of a live process")
		require.NoError(t, two.Notify(t.Context(), []notification.Event{push("app", "v3")}))
		synctest.Wait()
		got, duplicates := in.ids()
		require.Len(t, got, 3)
		require.Zero(t, duplicates)
		stop()
	})
}

// TestCorruptBatch checks that an object that cannot be read is reported, skipped and kept.
func TestCorruptBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		first := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: &inbox{}})
		var ids []string
		for i := range 3 {
			e := push("app", fmt.Sprint(i))
			ids = append(ids, e.ID)
			require.NoError(t, first.Notify(t.Context(), []notification.Event{e}))
		}
		var keys []string
		for info := range d.List(t.Context(), "e/s/", nil) {
			keys = append(keys, info.Key)
		}
		_, err := d.Put(t.Context(), keys[1], strings.NewReader(`{"nonce":"x"`), nil)
		require.NoError(t, err)
		in := &inbox{}
		second := newOutbox(t, d, nil, outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, second)
		time.Sleep(2 * time.Minute)
		got := in.all()
		require.Len(t, got, 3)
		require.Equal(t, ids[0], got[0].ID)
		require.Equal(t, notification.Missing, got[1].Action)
		require.Equal(t, int64(1), got[1].Gap.Events)
		require.Equal(t, "corrupt", got[1].Gap.Reason)
		require.False(t, got[1].Gap.First.After(got[1].Gap.Last), got[1].Gap)
		require.Equal(t, ids[2], got[2].ID)
		require.Equal(t, int64(1), second.Stats("hook").Dropped)
		_, err = d.Stat(t.Context(), keys[1])
		require.NoError(t, err)
		stop()
	})
}

// TestSince checks that a reader continues behind each entry, over several streams.
func TestSince(t *testing.T) {
	d := memory.New(nil)
	a, b := newOutbox(t, d, nil), newOutbox(t, d, nil)
	var all []string
	for i := range 4 {
		for _, o := range []*outbox.Outbox{a, b} {
			e := push("app", fmt.Sprint(i))
			all = append(all, e.ID)
			require.NoError(t, o.Notify(t.Context(), []notification.Event{e, push("x", "y")}[:1]))
		}
	}
	ids, _ := since(t, a, "")
	require.ElementsMatch(t, all, ids)
	n := 0
	for e, err := range a.Since(t.Context(), "", nil) {
		require.NoError(t, err)
		n++
		rest, _ := since(t, b, e.Cursor)
		require.Equal(t, ids[n:], append([]string{}, rest...))
	}
	end, err := a.End(t.Context())
	require.NoError(t, err)
	rest, _ := since(t, a, end)
	require.Empty(t, rest)
	for _, bad := range []string{"x", "!", "AQ", end + "A"} {
		for _, err := range a.Since(t.Context(), bad, nil) {
			require.ErrorIs(t, err, outbox.ErrCursor)
		}
	}
}

// TestFollow checks that a reader hears of new events of this process and of others.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		a, b := newOutbox(t, d, nil), newOutbox(t, d, nil)
		got := make(chan string, 10)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(got)
			for e, err := range a.Since(ctx, "", &outbox.SinceOptions{Follow: true}) {
				if err != nil {
					return
				}
				got <- e.Event.ID
			}
		}()
		for _, o := range []*outbox.Outbox{a, b, a} {
			e := push("app", "v")
			require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
			require.Equal(t, e.ID, <-got)
		}
		cancel()
		for range got {
		}
	})
}

// TestSurvivesLostResponses makes each write of a sequence lose its response.
func TestSurvivesLostResponses(t *testing.T) {
	for n := 1; n < 12; n++ {
		synctest.Test(t, func(t *testing.T) {
			f := drivertest.NewFaulty(memory.New(nil), nil)
			in := &inbox{}
			o := newOutbox(t, f, nil, outbox.Destination{Name: "hook", Sink: in})
			f.LoseResponse(n)
			stop := run(t, o)
			var want []string
			for i := range 5 {
				e := push("app", fmt.Sprint(i))
				want = append(want, e.ID)
				require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
				time.Sleep(3 * time.Second)
			}
			time.Sleep(5 * time.Minute)
			got, _ := in.ids()
			require.Equal(t, want, got)
			stop()
		})
	}
}

// TestCost counts the requests of a change and of an idle minute.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFaulty(memory.New(nil), nil)
		o := newOutbox(t, f, nil)
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")})) // begins a stream
		before := f.Count("")
		for range 100 {
			require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		}
		require.Equal(t, 100, f.Count("")-before, "one write for each change")
		pull := push("app", "v1")
		pull.Action = notification.Pull
		require.NoError(t, o.Notify(t.Context(), []notification.Event{pull}))
		require.Equal(t, 100, f.Count("")-before, "none for a pull")
		stop := run(t, o)
		time.Sleep(5 * time.Minute)
		put, list, all := f.Count("Put"), f.Count("List"), f.Count("")
		time.Sleep(10 * time.Minute)
		require.InDelta(t, 60, f.Count("Put")-put, 6, "the lease: 6 a minute for each sink")
		require.InDelta(t, 80, f.Count("List")-list, 4, "8 a minute")
		require.InDelta(t, 140, f.Count("")-all, 10)
		stop()
	})
}

// TestSinceOverRemovedStreams checks that a reader goes on after its streams were trimmed and removed.
func TestSinceOverRemovedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		one, two := newOutbox(t, d, nil), newOutbox(t, d, nil)
		stopOne, stopTwo := run(t, one), run(t, two)
		for _, o := range []*outbox.Outbox{one, two} {
			require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
			time.Sleep(time.Second)
		}
		ids, cursor := since(t, one, "")
		require.Len(t, ids, 2)
		stopOne()
		time.Sleep(20 * 24 * time.Hour) // the stream of two is empty, and lives
		_, fresh := since(t, two, "")
		require.Empty(t, fresh, "nothing is kept")
		end, err := two.End(t.Context())
		require.NoError(t, err)
		e := push("app", "v2")
		require.NoError(t, two.Notify(t.Context(), []notification.Event{e}))
		for _, from := range []string{"", cursor, end} {
			ids, last := since(t, two, from)
			require.Equal(t, e.ID, ids[len(ids)-1])
			rest, _ := since(t, two, last)
			require.Empty(t, rest)
		}
		stopTwo()
	})
}

// TestOptions checks that New refuses invalid names and options.
func TestOptions(t *testing.T) {
	d := memory.New(nil)
	for _, name := range []string{"", "A", "a/b", "~", ".x", strings.Repeat("a", 65)} {
		_, err := outbox.New(d, []outbox.Destination{{Name: name, Sink: &inbox{}}}, nil)
		require.ErrorContains(t, err, "invalid name")
	}
	_, err := outbox.New(d, []outbox.Destination{{Name: "a", Sink: &inbox{}}, {Name: "a", Sink: &inbox{}}}, nil)
	require.ErrorContains(t, err, "two sinks")
	_, err = outbox.New(d, nil, &outbox.Options{Lease: time.Millisecond})
	require.ErrorContains(t, err, "Lease")
	_, err = outbox.New(d, nil, &outbox.Options{Keep: -1})
	require.ErrorContains(t, err, "Keep")
	_, err = outbox.New(d, nil, &outbox.Options{Keep: time.Minute})
	require.ErrorContains(t, err, "four times")
}

// TestBlock checks that Notify fails instead of dropping events, if the host wants that.
func TestBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{fail: func(notification.Event) error { return errors.New("down") }}
		o := newOutbox(t, memory.New(nil), &outbox.Options{MaxEvents: 3, Block: true},
			outbox.Destination{Name: "hook", Sink: in})
		stop := run(t, o)
		for range 3 {
			require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		}
		require.ErrorIs(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}), notification.ErrNotRecorded)
		in.mu.Lock()
		in.fail = nil
		in.mu.Unlock()
		time.Sleep(time.Minute)
		require.NoError(t, o.Notify(t.Context(), []notification.Event{push("app", "v1")}))
		require.Zero(t, o.Stats("hook").Dropped)
		stop()
	})
}
