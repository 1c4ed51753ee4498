package audit_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// TestQuery: records are found by time, actor, repository, action, account and outcome.
func TestQuery(t *testing.T) {
	l := newLog(t, memory.New(nil), nil)
	del := push("c", day.Add(2*time.Hour), "ann", "acme/web")
	del.Action = notification.Delete
	notify(t, l, push("a", day, "ann", "acme/app", "v1"), push("b", day.Add(time.Hour), "bob", "acme/app"), del,
		notification.Event{ID: "d", Time: day.Add(3 * time.Hour), Action: notification.Account, Actor: "boss",
			Account: &notification.AccountChange{Change: "team.join", Name: "acme", Team: "dev", Member: "bob"}},
		notification.Event{ID: "pull", Time: day, Action: notification.Pull, Repository: "acme/app"})
	for _, c := range []struct {
		q    audit.Query
		want string
	}{
		{audit.Query{}, "d c b a"},
		{audit.Query{Actor: "ann"}, "c a"},
		{audit.Query{Repository: "acme/app"}, "b a"},
		{audit.Query{Action: "delete"}, "c"},
		{audit.Query{Actor: "ann", Action: "push"}, "a"},
		{audit.Query{Account: "bob"}, "d"},
		{audit.Query{Account: "acme"}, "d"},
		{audit.Query{Outcome: audit.Denied}, ""},
		{audit.Query{Actor: "v1"}, ""},
		{audit.Query{Since: day.Add(time.Hour), Until: day.Add(2 * time.Hour)}, "b"},
		{audit.Query{Until: day.Add(time.Hour)}, "a"},
		{audit.Query{Since: day.Add(2 * time.Hour)}, "d c"},
	} {
		for _, limit := range []int{1, 2, 100} {
			got, _ := ids(t, l, &c.q, limit)
			require.Equal(t, append([]string{}, strings.Fields(c.want)...), got, "%+v by %d", c.q, limit)
		}
	}
}

// TestPages: all pages together have each record once and in order, whatever the sizes of objects
// and pages, and with events that arrive late, twice or out of order.
func TestPages(t *testing.T) {
	d, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	for name, d := range map[string]driver.Driver{"memory": memory.New(nil), "disk": d} {
		t.Run(name, func(t *testing.T) {
			l := newLog(t, d, nil)
			r := rand.New(rand.NewPCG(1, 2))
			want := map[string]notification.Event{}
			for range 60 {
				var batch []notification.Event
				for range 1 + r.IntN(20) {
					// 40 days, with many equal times
					e := push(number(len(want)), day.Add(-time.Duration(r.IntN(40*24))*time.Hour), "ann", "r")
					batch, want[e.ID] = append(batch, e), e
				}
				require.NoError(t, l.Notify(t.Context(), batch))
				if r.IntN(3) == 0 {
					require.NoError(t, l.Notify(t.Context(), batch[:1]), "an event is delivered twice")
				}
			}
			sorted := []string{}
			for id := range want {
				sorted = append(sorted, id)
			}
			slices.SortFunc(sorted, func(a, b string) int {
				if c := want[b].Time.Compare(want[a].Time); c != 0 {
					return c
				}
				return strings.Compare(b, a)
			})
			for _, limit := range []int{1, 7, 1000} {
				got, _ := ids(t, l, &audit.Query{Until: day.Add(time.Hour)}, limit)
				require.Equal(t, sorted, got)
			}
		})
	}
}

// TestManyObjects: a page reads a bounded number of objects, and pages make progress through times
// with more objects than that.
func TestManyObjects(t *testing.T) {
	l := newLog(t, memory.New(nil), nil)
	want := []string{}
	for i := range 2500 {
		// All objects have the same key apart from its random end for a while.
		at := day.Add(time.Duration(i/1500) * time.Second)
		notify(t, l, push(number(i), at, "ann", "r"))
		want = append(want, number(i))
	}
	slices.Reverse(want)
	got, pages := ids(t, l, nil, 100)
	require.Equal(t, want, got)
	require.LessOrEqual(t, pages, 40)
	_, pages = ids(t, l, &audit.Query{Actor: "nobody", Since: day, Until: day.Add(time.Hour)}, 100)
	require.LessOrEqual(t, pages, 4, "a search that finds nothing ends")
}

// TestLateEvent: an event that arrives weeks later is found at its own time.
func TestLateEvent(t *testing.T) {
	l := newLog(t, memory.New(nil), nil)
	notify(t, l, push("now", time.Now(), "ann", "r"), push("late", time.Now().AddDate(0, 0, -60), "ann", "r"))
	ahead := time.Now().Add(time.Hour)
	notify(t, l, push("ahead", ahead, "ann", "r"))
	got, _ := ids(t, l, nil, 10)
	require.Equal(t, []string{"ahead", "now", "late"}, got)
	got, _ = ids(t, l, &audit.Query{Since: time.Now().AddDate(0, 0, -61), Until: time.Now().AddDate(0, 0, -59)}, 10)
	require.Equal(t, []string{"late"}, got)
}

// TestCursor: a malformed cursor is an error.
func TestCursor(t *testing.T) {
	l := newLog(t, memory.New(nil), nil)
	for _, cursor := range []string{"x", "2026-11-20T00:00:00Z", "~", "x~y"} {
		_, _, err := l.Page(t.Context(), nil, cursor, 1)
		require.ErrorIs(t, err, audit.ErrCursor, cursor)
	}
}

// TestExport: an export is one record a line, complete.
func TestExport(t *testing.T) {
	l := newLog(t, memory.New(nil), nil)
	var events []notification.Event
	for i := range 3000 {
		events = append(events, push(number(i), day.Add(time.Duration(i)*time.Second), "ann", "r", "v1"))
	}
	require.NoError(t, l.Notify(t.Context(), events))
	var out bytes.Buffer
	require.NoError(t, l.Export(t.Context(), &audit.Query{Since: day, Until: day.Add(24 * time.Hour)}, &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3000)
	for i, line := range lines {
		var r audit.Record
		require.NoError(t, json.Unmarshal([]byte(line), &r))
		require.Equal(t, number(2999-i), r.ID)
		require.Equal(t, []string{"v1"}, r.Tags)
	}
}

// TestDamage: a damaged object is visible in every query about its time, and hides nothing else.
func TestDamage(t *testing.T) {
	d := memory.New(nil)
	l := newLog(t, d, nil)
	notify(t, l, push("a", day, "ann", "r"), push("b", day.Add(time.Minute), "ann", "r"))
	keys := objects(t, d)
	for _, content := range []string{"", "{}\n", `{"nonce":"x","count":1,"sum":1}` + "\n{}\n"} {
		_, err := d.Put(t.Context(), keys[0], strings.NewReader(content), nil)
		require.NoError(t, err)
		found := all(t, l, &audit.Query{Actor: "ann"})
		require.Len(t, found, 2)
		require.Equal(t, "b", found[0].ID)
		require.Equal(t, audit.Damaged, found[1].Action)
		require.Contains(t, found[1].Reason, keys[0])
	}
	for _, key := range []string{"l/x", "l/2026-11-20/x", "l/2026-11-20/1-2-x", "l/2026-11-20/x-y-z"} {
		_, err := d.Put(t.Context(), key, strings.NewReader("x"), nil)
		require.NoError(t, err)
	}
	require.NotEmpty(t, all(t, l, nil), "objects of others do no harm")
}
