package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// sample is what one round of a row costs.
type sample struct {
	ops       int
	cpu, wall time.Duration
	latencies []time.Duration // of the operations
}

// result is what a row costs on one side.
type result struct {
	Side    string
	Wrong   string  `json:",omitempty"` // error of the side, or "" if all answers were right
	CPU     float64 // µs per operation, or per MB
	Rate    float64 // operations or MB per second
	P50     float64 // ms
	P99     float64 // ms
	RSS     int64   // peak, bytes
	Syncs   float64 `json:",omitempty"` // of the limit, per operation
	samples []sample
}

// finish computes the costs from the samples. unit is the number of units of an operation: 1, or
// its size in MB.
func (r *result) finish(unit float64) {
	var cpu, rate []float64
	var latencies []time.Duration
	for _, s := range r.samples {
		if s.ops == 0 {
			continue
		}
		units := float64(s.ops) * unit
		cpu = append(cpu, float64(s.cpu)/1e3/units)
		rate = append(rate, units/s.wall.Seconds())
		latencies = append(latencies, s.latencies...)
	}
	r.CPU, r.Rate = median(cpu), median(rate)
	r.P50, r.P99 = float64(quantile(latencies, 0.5))/1e6, float64(quantile(latencies, 0.99))/1e6
}

// over returns the median, over the rounds, of the processor time divided by that of other in the
// same round. Other load on the machine has the same effect on both.
func (r *result) over(other *result) float64 {
	var ratios []float64
	for i := range min(len(r.samples), len(other.samples)) {
		mine, theirs := r.samples[i], other.samples[i]
		if mine.ops > 0 && theirs.ops > 0 && theirs.cpu > 0 {
			ratios = append(ratios, float64(mine.cpu)/float64(mine.ops)*float64(theirs.ops)/float64(theirs.cpu))
		}
	}
	return median(ratios)
}

// median returns the middle value, or the lower of the two for an even number of values. It returns
// 0 for no values.
func median[T cmp.Ordered](values []T) T { return quantile(values, 0.5) }

// quantile returns the smallest value that at least the share q of the values does not exceed.
func quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var none T
		return none
	}
	values = slices.Clone(values)
	slices.Sort(values)
	return values[max(0, int(math.Ceil(q*float64(len(values))))-1)]
}
