package main

import "slices"

// goal is what this registry has to reach in a row.
type goal struct {
	places []string // where it holds; nil means tmpfs and disk
	metric string   // see value
	most   float64  // or 0
	least  float64  // or 0
}

// The metrics of goals.
const (
	cpuMetric   = "µs"
	rateMetric  = "/s"
	p99Metric   = "ms p99"
	limitMetric = "× limit"
	rssMetric   = "MiB peak"
)

// everyRow is the goal of every row.
var everyRow = goal{metric: rssMetric, most: 48}

func (g goal) String() string {
	if g.least > 0 {
		return "≥ " + number(g.least) + g.metric
	}
	return "≤ " + number(g.most) + " " + g.metric
}

func cpuTmpfs(most float64) goal {
	return goal{places: []string{"tmpfs"}, metric: cpuMetric, most: most}
}
func cpuDisk(most float64) goal { return goal{places: []string{"disk"}, metric: cpuMetric, most: most} }
func rateDisk(least float64) goal {
	return goal{places: []string{"disk"}, metric: rateMetric, least: least}
}
func p99Disk(most float64) goal { return goal{places: []string{"disk"}, metric: p99Metric, most: most} }

// timesLimit is a goal for processor time as a multiple of the limit. On disk, the processor time
// of the kernel depends on what else it writes, so the goal holds on tmpfs.
func timesLimit(most float64) goal {
	return goal{places: []string{"tmpfs"}, metric: limitMetric, most: most}
}

// verdict is a goal and what was measured.
type verdict struct {
	Goal  string
	Value float64
	Met   bool
}

// judge compares this registry with the goals of the row.
func (l *line) judge(r row, place string, access bool) {
	ours := l.side(oursName)
	if ours == nil || ours.Wrong != "" || access || place == "s3" {
		return
	}
	goals := append(slices.Clone(r.goals), everyRow)
	if r.longest > 0 {
		goals = r.goals // a row with a time of its own also has a goal of its own for memory
	}
	for _, g := range goals {
		if g.places != nil && !slices.Contains(g.places, place) {
			continue
		}
		value, ok := l.value(ours, g.metric)
		if !ok {
			continue
		}
		met := value >= g.least && (g.most == 0 || value <= g.most)
		l.Verdicts = append(l.Verdicts, verdict{g.String(), value, met})
	}
}

// value returns a metric of this registry.
func (l *line) value(ours *result, metric string) (float64, bool) {
	switch metric {
	case cpuMetric:
		return ours.CPU, true
	case rateMetric:
		return ours.Rate, true
	case p99Metric:
		return ours.P99, true
	case rssMetric:
		return float64(ours.RSS) / (1 << 20), true
	}
	limit := l.side(limitName)
	if limit == nil || limit.Wrong != "" || len(limit.samples) == 0 {
		return 0, false
	}
	return ours.over(limit), true
}
