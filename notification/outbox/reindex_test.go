package outbox_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/storage/memory"
)

// content is a Source: what is visible.
type content []notification.Visible

func (c *content) Visible(_ context.Context, since time.Time) iter.Seq2[notification.Visible, error] {
	return func(yield func(notification.Visible, error) bool) {
		for _, v := range *c {
			if !v.Time.Before(since) && !yield(v, nil) {
				return
			}
		}
	}
}

// add makes the manifest and the tags of an event visible.
func (c *content) add(e notification.Event) {
	*c = append(*c, notification.Visible{Repository: e.Repository, Target: *e.Target, Time: e.Time})
	for _, tag := range e.Tags {
		*c = append(*c, notification.Visible{Repository: e.Repository, Tag: tag, Target: *e.Target, Time: e.Time})
	}
}

// TestReindex finds the pushes, moves and deletes whose events were lost, once, and nothing else.
func TestReindex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var src content
		old := push("app", "old")
		src.add(old) // before the outbox
		time.Sleep(time.Hour)
		o := newOutbox(t, memory.New(nil), nil)
		announced, deleted := push("app", "v1"), push("app", "deleted")
		require.NoError(t, o.Notify(t.Context(), []notification.Event{announced, deleted}))
		src.add(announced)
		lost := push("team/app", "v2")
		src.add(lost)
		moved := push("app", "v1b")
		moved.Tags = []string{"v1"}
		time.Sleep(time.Second)
		moved.Time = time.Now()
		src = append(src[:len(src)-4], src[len(src)-2:]...) // v1 is moved: its old manifest was removed
		src.add(moved)
		time.Sleep(2 * time.Minute)
		flying := push("app", "flying") // its event is on its way
		src.add(flying)

		report, err := o.Reindex(t.Context(), &src, nil)
		require.NoError(t, err)
		require.Equal(t, int64(2), report.Pushed)
		require.Equal(t, int64(1), report.Moved)
		require.Equal(t, int64(3), report.Deleted) // manifest v1, and manifest and tag "deleted"
		_, cursor := since(t, o, "")
		var found []notification.Event
		for e, err := range o.Since(t.Context(), "", nil) {
			require.NoError(t, err)
			if e.Event.Found {
				found = append(found, e.Event)
			}
		}
		require.Equal(t, lost.Target, found[0].Target)
		require.Equal(t, lost.Tags, found[0].Tags)
		require.Equal(t, notification.Move, found[2].Action)
		require.Equal(t, announced.Target.Digest, found[2].Previous)

		require.NoError(t, o.Notify(t.Context(), []notification.Event{flying}))
		report, err = o.Reindex(t.Context(), &src, nil)
		require.NoError(t, err)
		require.Zero(t, report.Pushed+report.Moved+report.Deleted, "all has an event")
		rest, _ := since(t, o, cursor)
		require.Equal(t, []string{flying.ID}, rest)

		report, err = o.Reindex(t.Context(), &src, &outbox.ReindexOptions{All: true})
		require.NoError(t, err)
		require.Equal(t, int64(1), report.Pushed, "the content that is older than the outbox")
	})
}

// TestReindexWaitsForEventsOnTheirWay: the event of a delete comes while Reindex runs.
func TestReindexWaitsForEventsOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(t, memory.New(nil), nil)
		e := push("app", "v1")
		require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
		time.Sleep(time.Hour)
		go func() {
			time.Sleep(10 * time.Second)
			d := e
			d.ID, d.Time, d.Action = notification.NewID(), time.Now(), notification.Delete
			if err := o.Notify(t.Context(), []notification.Event{d}); err != nil {
				t.Error(err)
			}
		}()
		report, err := o.Reindex(t.Context(), &content{}, nil)
		require.NoError(t, err)
		require.Equal(t, outbox.ReindexReport{Events: 1}, report)
	})
}

// TestReindexAnnouncesWhatCorruptBatchesHeld: the events of pushes that cannot be read are as good as
// lost.
func TestReindexAnnouncesWhatCorruptBatchesHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := memory.New(nil)
		o := newOutbox(t, d, nil)
		var src content
		for i := range 4 {
			e := push("app", fmt.Sprint("v", i))
			require.NoError(t, o.Notify(t.Context(), []notification.Event{e}))
			src.add(e)
			time.Sleep(time.Second)
		}
		n := 0
		for info, err := range d.List(t.Context(), "e/s/", nil) {
			require.NoError(t, err)
			if n++; n == 2 || n == 4 {
				_, err := d.Put(t.Context(), info.Key, strings.NewReader("{ this is no event"), nil)
				require.NoError(t, err)
			}
		}
		time.Sleep(2 * time.Minute)
		report, err := o.Reindex(t.Context(), &src, nil)
		require.NoError(t, err)
		require.Equal(t, int64(2), report.Pushed)
		require.Zero(t, report.Moved+report.Deleted)
	})
}

// TestReindexAnnouncesOnce checks that a change is announced once, although the storage has an
// earlier time for it than the last event of the tag: clocks differ, and some storages have seconds.
func TestReindexAnnouncesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(t, memory.New(nil), nil)
		before, deleted := push("app", "v1"), push("app", "v2")
		gone := deleted
		gone.ID, gone.Action, gone.Time = notification.NewID(), notification.Delete, deleted.Time.Add(time.Millisecond)
		require.NoError(t, o.Notify(t.Context(), []notification.Event{before, deleted, gone}))
		moved := push("app", "moved")
		moved.Tags, moved.Time = []string{"v1"}, before.Time.Add(-time.Millisecond)
		var src content
		src.add(before)
		src = src[:1] // without the tag
		src.add(moved)
		src.add(deleted) // pushed again
		time.Sleep(2 * time.Minute)
		report, err := o.Reindex(t.Context(), &src, &outbox.ReindexOptions{All: true})
		require.NoError(t, err)
		require.Equal(t, int64(2), report.Pushed)
		time.Sleep(2 * time.Minute)
		report, err = o.Reindex(t.Context(), &src, &outbox.ReindexOptions{All: true})
		require.NoError(t, err)
		require.Zero(t, report.Pushed+report.Moved+report.Deleted)
	})
}
