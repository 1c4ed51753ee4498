package plot

import (
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func points(values ...int64) (all []Point) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	for i, v := range values {
		all = append(all, Point{At: start.AddDate(0, 0, i), Value: v})
	}
	return all
}

func TestLines(t *testing.T) {
	l := New(points(0, 50, 100), points(100, 100, 100))
	require.Equal(t, "M0.0 200.0L500.0 100.0L1000.0 0.0", l.Paths[0])
	require.Equal(t, "M0.0 0.0L500.0 0.0L1000.0 0.0", l.Paths[1])
	require.Equal(t, int64(100), l.Top)
	require.Equal(t, int64(50), l.Middle)
	require.Equal(t, 2, l.Last.Day()-l.First.Day())
	require.Nil(t, New(points(5)))
	require.Nil(t, New())
	require.Nil(t, New([]Point{{}, {}}), "no time has passed")
}

// TestExtremes: no value makes a coordinate that is no number or outside the plot.
func TestExtremes(t *testing.T) {
	coordinates := regexp.MustCompile(`^(?:[ML]\d{1,4}\.\d \d{1,3}\.\d)+$`)
	for _, v := range []int64{0, 1, -5, math.MaxInt64, math.MinInt64} {
		l := New(points(v, 3, v, math.MaxInt64))
		require.Regexp(t, coordinates, l.Paths[0])
	}
}

func TestNice(t *testing.T) {
	for n, want := range map[int64]int64{0: 2, 1: 2, 3: 4, 5: 6, 7: 10, 10: 10, 11: 20, 99: 100, 61_000: 100_000,
		41 << 30: 60_000_000_000, math.MaxInt64: math.MaxInt64} {
		got := nice(n)
		require.Equal(t, want, got, n)
	}
}

func TestBars(t *testing.T) {
	require.Equal(t, Bar{"25.0", "25.0"}, NewBar(25, 50, 100))
	require.Equal(t, Bar{"50.0", "0.0"}, NewBar(0, 50, 100))
	require.Equal(t, Bar{"0.0", "0.0"}, NewBar(0, 0, 0))
	require.Equal(t, Bar{"100.0", "0.0"}, NewBar(500, 200, 100), "a part larger than the whole is none")
	require.Equal(t, 1, Percent(1, 1_000_000))
	require.Equal(t, 0, Percent(0, 10))
	require.Equal(t, 100, Percent(20, 10))
	require.Equal(t, 0, Percent(3, 0))
}
