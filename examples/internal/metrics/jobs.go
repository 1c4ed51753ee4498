package metrics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/quota"
)

// slow is how long a collector reads the storage, and how old its figures may be. Any number of programs may collect.
const (
	slow  = 10 * time.Second
	fresh = 15 * time.Second
)

// sample is a figure that a collector publishes.
type sample struct {
	desc   *prometheus.Desc
	value  float64
	labels []string
}

// stored publishes figures that must be read from the storage, at most once in fresh.
type stored struct {
	descs []*prometheus.Desc
	read  func(ctx context.Context) ([]sample, error)
	log   *slog.Logger

	mu   sync.Mutex
	last []sample
	when time.Time
}

// Describe implements prometheus.Collector.
func (s *stored) Describe(out chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		out <- d
	}
}

// Collect implements prometheus.Collector. If the storage does not respond, nothing is published: old figures would
// look like new ones.
func (s *stored) Collect(out chan<- prometheus.Metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.when) > fresh {
		ctx, cancel := context.WithTimeout(context.Background(), slow)
		defer cancel()
		var err error
		if s.last, err = s.read(ctx); err != nil {
			s.log.WarnContext(ctx, "figures for metrics cannot be read", "error", err)
			s.last = nil
		}
		s.when = time.Now()
	}
	for _, one := range s.last {
		out <- prometheus.MustNewConstMetric(one.desc, prometheus.GaugeValue, one.value, one.labels...)
	}
}

// Jobs returns a collector for the states of all jobs.
func Jobs(runner *jobs.Runner, log *slog.Logger) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("registry_job_"+name, help, []string{"name"}, nil) // "job" is a label of Prometheus
	}
	running := desc("running", "1 while the job runs on some replica.")
	failures := desc("failures", "Runs that have failed since the last one that succeeded.")
	ended := desc("last_end_timestamp_seconds", "When the last run ended. Absent if there was none.")
	took := desc("last_seconds", "How long the last run took. Absent while the job runs for the first time.")
	return &stored{descs: []*prometheus.Desc{running, failures, ended, took}, log: log,
		read: func(ctx context.Context) (all []sample, err error) {
			states, err := runner.List(ctx)
			for _, s := range states {
				labels, on := []string{s.Name}, 0.0
				if s.Running {
					on = 1
				}
				all = append(all, sample{running, on, labels}, sample{failures, float64(s.Failures), labels})
				if s.Ended.IsZero() {
					continue
				}
				all = append(all, sample{ended, float64(s.Ended.Unix()), labels})
				if !s.Running {
					all = append(all, sample{took, s.Ended.Sub(s.Started).Seconds(), labels})
				}
			}
			return all, err
		}}
}

// maxQuotas is the maximum number of prefixes that Quotas looks at.
const maxQuotas = 1000

// Quotas returns a collector for limited prefixes. A prefix is no label, because each user may have one. It looks at
// the first maxQuotas prefixes.
func Quotas(q *quota.Quotas, log *slog.Logger) prometheus.Collector {
	prefixes := prometheus.NewDesc("registry_quota_prefixes",
		"Prefixes with a limit, by what is used of it: below 90%, from 90%, or full.", []string{"used"}, nil)
	return &stored{descs: []*prometheus.Desc{prefixes}, log: log,
		read: func(ctx context.Context) ([]sample, error) {
			count, seen := map[string]float64{"low": 0, "high": 0, "full": 0}, 0
			for s, err := range q.States(ctx) {
				if err != nil {
					return nil, err
				}
				count[level(s)]++
				if seen++; seen == maxQuotas {
					break
				}
			}
			var all []sample
			for name, n := range count {
				all = append(all, sample{prefixes, n, []string{name}})
			}
			return all, nil
		}}
}

// level returns how much of a limit is used: low, high or full.
func level(s quota.State) string {
	part := 0.0
	for _, one := range [][2]int64{{s.Used.Bytes, s.Max.Bytes}, {s.Used.Tags, s.Max.Tags},
		{s.Used.Repositories, s.Max.Repositories}} {
		if one[1] > 0 {
			part = max(part, float64(one[0])/float64(one[1]))
		}
	}
	switch {
	case part >= 1:
		return "full"
	case part >= 0.9:
		return "high"
	}
	return "low"
}
