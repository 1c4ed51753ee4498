package main

import (
	"fmt"
	"slices"
	"time"
)

// ratio returns the median, over the rounds, of our processor time divided by the peer's in the
// same round.
func (r result) ratio() float64 { return ratio(r.ours, r.peer, sample.getCPU) }

func (s sample) getCPU() time.Duration  { return s.cpu }
func (s sample) getWall() time.Duration { return s.wall }

// String returns the row of the table.
func (r result) String() string {
	return fmt.Sprintf("| %s | %s | %s | %.2f | %s | %s | %.2f |", r.name,
		show(r.ours, sample.getCPU), show(r.peer, sample.getCPU), r.ratio(),
		show(r.ours, sample.getWall), show(r.peer, sample.getWall), ratio(r.ours, r.peer, sample.getWall))
}

func ratio(ours, peer []sample, get func(sample) time.Duration) float64 {
	var ratios []float64
	for i := range ours {
		ratios = append(ratios, float64(get(ours[i]))/float64(get(peer[i])))
	}
	return median(ratios)
}

func show(samples []sample, get func(sample) time.Duration) string {
	var values []time.Duration
	for _, s := range samples {
		values = append(values, get(s))
	}
	d := median(values)
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.0f ms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.0f µs", float64(d)/1e3)
}

// median returns the middle value, or the lower of the two for an even number of values.
func median[T int64 | float64 | time.Duration](values []T) T {
	values = slices.Clone(values)
	slices.Sort(values)
	return values[(len(values)-1)/2]
}
