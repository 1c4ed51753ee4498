package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registrykit/registry/notification"
)

// eventMetrics publishes the Stats of sinks. Prometheus reads them when it collects, so there is
// nothing to update.
type eventMetrics struct {
	sinks []string
	stats func(sink string) notification.Stats

	delivered, failed, dropped, pending, oldest, disabled *prometheus.Desc
}

// Events returns a collector for sinks. stats is the method Stats of an outbox.
func Events(stats func(sink string) notification.Stats, sinks ...string) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("registry_events_"+name, help, []string{"sink"}, nil)
	}
	return &eventMetrics{sinks: sinks, stats: stats,
		delivered: desc("delivered_total", "Events that the sink has accepted."),
		failed:    desc("failed_total", "Calls of the sink that returned an error."),
		dropped:   desc("dropped_total", "Events that the sink will never get."),
		pending:   desc("pending", "Events that wait for the sink."),
		oldest:    desc("oldest_seconds", "Age of the oldest event that waits for the sink."),
		disabled:  desc("disabled", "1 if the receiver wants no more events."),
	}
}

// Describe implements prometheus.Collector.
func (m *eventMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.delivered, m.failed, m.dropped, m.pending, m.oldest, m.disabled} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *eventMetrics) Collect(out chan<- prometheus.Metric) {
	for _, sink := range m.sinks {
		s := m.stats(sink)
		counter := func(d *prometheus.Desc, v int64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), sink)
		}
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, sink)
		}
		counter(m.delivered, s.Delivered)
		counter(m.failed, s.Failed)
		counter(m.dropped, s.Dropped)
		gauge(m.pending, float64(s.Pending))
		age, disabled := 0.0, 0.0
		if !s.Oldest.IsZero() {
			age = time.Since(s.Oldest).Seconds()
		}
		if s.Disabled {
			disabled = 1
		}
		gauge(m.oldest, age)
		gauge(m.disabled, disabled)
	}
}
