package usage_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// clock is a clock that a test sets.
type clock struct{ time.Time }

func (c *clock) now() time.Time { return c.Time }

// TestHistory: there is a report for each day of a month on which a count began.
func TestHistory(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	m := newMeter(t, d)
	c := &clock{time.Date(2026, 2, 27, 23, 0, 0, 0, time.UTC)}
	m.SetClock(c.now)
	start := c.Time
	want := map[int]int64{} // bytes by day
	for i := range 100 {    // every nine hours
		pushBlob(t, s, "team/app", make([]byte, 100+i))
		if i == 50 {
			pushBlob(t, s, "team/web", make([]byte, 10))
		}
		_, err := m.Count(t.Context(), nil)
		require.NoError(t, err)
		r, err := m.Report(t.Context(), "team/app")
		require.NoError(t, err)
		want[day(c.Time)] = r.Figures.Logical
		c.Time = c.Add(9 * time.Hour)
	}
	last := c.Add(-9 * time.Hour)
	reports := collect(t, m.History(t.Context(), "team/app"))
	require.Len(t, reports, 31)
	for i, r := range reports {
		require.Equal(t, day(last)-30+i, day(r.Counted))
		require.Equal(t, want[day(r.Counted)], r.Figures.Logical)
		require.Equal(t, "team/app", r.Prefix)
	}
	require.Greater(t, day(last)-day(start), 31)
	// A repository has a history from its first day on, and a prefix of all its repositories.
	web := collect(t, m.History(t.Context(), "team/web"))
	require.Less(t, len(web), 25)
	require.Equal(t, int64(1), web[0].Figures.Blobs)
	all := collect(t, m.History(t.Context(), "team"))
	require.Len(t, all, 31)
	require.Equal(t, int64(1), all[0].Figures.Repositories)
	require.Equal(t, int64(2), all[30].Figures.Repositories)
	for _, err := range m.History(t.Context(), "tea") {
		require.ErrorIs(t, err, registry.ErrNameUnknown)
	}
}

func day(t time.Time) int { return int(t.Unix() / (24 * 60 * 60)) }

// TestHistoryMissedDays: days without a count are left out, and do not make older days stay.
func TestHistoryMissedDays(t *testing.T) {
	require.Equal(t, []int{0, 10, 20, 30}, countOn(t, 0, 10, 20, 30))
	require.Equal(t, []int{10, 20, 30, 31}, countOn(t, 0, 10, 20, 30, 31))
	require.Equal(t, []int{1000}, countOn(t, 0, 1, 2, 1000))
}

// TestHistoryClockJumps: a count with a wrong clock costs no day, once the clock is right again.
func TestHistoryClockJumps(t *testing.T) {
	var days []int
	for i := range 31 {
		days = append(days, i)
	}
	require.Equal(t, days, countOn(t, days...))
	ahead := append([]int{}, days[:20]...)
	ahead = append(ahead, 5000)
	ahead = append(ahead, days[20:]...)
	require.Equal(t, days, countOn(t, ahead...))
	back := append([]int{}, days[:20]...)
	back = append(back, 3, -400)
	back = append(back, days[20:]...)
	require.Equal(t, days, countOn(t, back...))
	// Days are not kept for ever.
	var long []int
	for i := range 200 {
		long = append(long, i, 9000+i%3)
	}
	long = append(long, 200)
	got := countOn(t, long...)
	require.Len(t, got, 31)
	require.Equal(t, 200, got[30])
}

// countOn counts on some days, and returns the days of the history.
func countOn(t *testing.T, days ...int) []int {
	t.Helper()
	d := memory.New(nil)
	m := newMeter(t, d)
	c := &clock{}
	m.SetClock(c.now)
	for _, n := range days {
		c.Time = time.Date(2026, 1, 1+n, 12, 0, 0, 0, time.UTC)
		r, err := m.Count(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, c.Time, r.Counted)
	}
	zero := day(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	var got []int
	for _, r := range collect(t, m.History(t.Context(), "")) {
		got = append(got, day(r.Counted)-zero)
	}
	for _, key := range keys(t, d, "s/n/") {
		require.Less(t, len(read(t, d, key)), 200+12*usage.KeptDays, fmt.Sprint(key))
	}
	return got
}
