package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuantile(t *testing.T) {
	values := []int{5, 1, 4, 2, 3}
	require.Equal(t, 3, median(values))
	require.Equal(t, 1, quantile(values, 0))
	require.Equal(t, 5, quantile(values, 0.99))
	require.Equal(t, 5, quantile(values, 1))
	require.Equal(t, []int{5, 1, 4, 2, 3}, values)
	require.Equal(t, 2, median([]int{4, 3, 2, 1}), "the lower of the two in the middle")
	require.Zero(t, median([]int(nil)))
}

func TestFinish(t *testing.T) {
	r := result{samples: []sample{
		{ops: 2, cpu: 2 * time.Millisecond, wall: time.Second,
			latencies: []time.Duration{time.Millisecond, 3 * time.Millisecond}},
		{ops: 4, cpu: 12 * time.Millisecond, wall: time.Second, latencies: []time.Duration{2 * time.Millisecond}},
		{}, // no operation
	}}
	r.finish(1)
	require.Equal(t, result{CPU: 1000, Rate: 2, P50: 2, P99: 3, samples: r.samples}, r)
	r.finish(10)
	require.InDelta(t, 100, r.CPU, 0)
	require.InDelta(t, 20, r.Rate, 0)
}

// TestOver checks that the ratio is the median of the ratios in the same round, and not the ratio
// of the medians.
func TestOver(t *testing.T) {
	ours := &result{samples: []sample{{ops: 1, cpu: 1}, {ops: 2, cpu: 6}, {ops: 1, cpu: 9}}}
	base := &result{samples: []sample{{ops: 1, cpu: 2}, {ops: 1, cpu: 2}, {ops: 1, cpu: 3}}}
	require.InDelta(t, 1.5, ours.over(base), 0)
	require.Zero(t, ours.over(&result{}))
}
