// Package plot computes the shapes of plots, which templates draw as inline SVG. All text of a plot, such as the values
// of its axes, is outside the SVG: so it is not scaled with the plot, and is read by screen readers.
package plot

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// The size of a plot of lines in its own units. It is stretched to the width of the page.
const (
	Width  = 1000
	Height = 200
)

// Point is a value at a time.
type Point struct {
	At    time.Time
	Value int64
}

// Lines is a plot of values by time.
type Lines struct {
	// Paths are the lines, each in the form of the attribute d of an SVG path.
	Paths []string
	// Top and Middle are the values at the upper edge and in the middle. The lower edge is zero.
	Top, Middle int64
	// First and Last are the times at the left and the right edge.
	First, Last time.Time
}

// New returns the plot of series whose points ascend by time. It is nil if no series has two points, because one point
// makes no line.
func New(series ...[]Point) *Lines {
	l := &Lines{}
	highest, long := int64(0), false
	for _, points := range series {
		long = long || len(points) > 1
		for _, p := range points {
			highest = max(highest, p.Value)
			if l.First.IsZero() || p.At.Before(l.First) {
				l.First = p.At
			}
			if p.At.After(l.Last) {
				l.Last = p.At
			}
		}
	}
	if !long || !l.First.Before(l.Last) {
		return nil
	}
	l.Top = nice(highest)
	l.Middle = l.Top / 2
	for _, points := range series {
		l.Paths = append(l.Paths, l.path(points))
	}
	return l
}

// path returns the line through points.
func (l *Lines) path(points []Point) string {
	var b strings.Builder
	span := float64(l.Last.Sub(l.First))
	for i, p := range points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		b.WriteString(command + coordinate(float64(p.At.Sub(l.First))/span*Width) + " " +
			coordinate(Height-share(p.Value, l.Top)*Height))
	}
	return b.String()
}

// coordinate returns a coordinate with one decimal.
func coordinate(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// nice returns a round number that is not below n: 1, 2, 4 or 6 with zeros, so that its half is round, too.
func nice(n int64) int64 {
	if n < 2 {
		return 2
	}
	power := int64(math.Pow10(int(math.Log10(float64(n)))))
	for _, factor := range []int64{1, 2, 4, 6} {
		if factor*power >= n {
			return factor * power
		}
	}
	if power > math.MaxInt64/10 {
		return math.MaxInt64
	}
	return 10 * power
}

// share returns n of total, from 0 to 1.
func share(n, total int64) float64 {
	if total <= 0 || n <= 0 {
		return 0
	}
	return min(float64(n)/float64(total), 1)
}

// Bar is a bar with one or two parts, in per cent of the longest bar.
type Bar struct {
	// First is the length of the first part. Rest is that of the second one, which begins there.
	First, Rest string
}

// NewBar returns the bar of whole in comparison with longest. part is the first part of whole, or 0 for a bar with one
// part.
func NewBar(part, whole, longest int64) Bar {
	all := share(whole, longest) * 100
	first := all
	if part > 0 && part <= whole {
		first = share(part, longest) * 100
	}
	return Bar{First: coordinate(first), Rest: coordinate(all - first)}
}

// Percent returns n of total in per cent, from 0 to 100. Anything above zero is at least one per cent.
func Percent(n, total int64) int {
	p := int(share(n, total) * 100)
	if n > 0 && total > 0 {
		return max(p, 1)
	}
	return p
}
