package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registrykit/registry/mirror"
)

// mirrorMetrics publishes the Stats of a mirror. Prometheus reads them when it collects, so there is
// nothing to update.
type mirrorMetrics struct {
	stats func() mirror.Stats

	pulls, served, fetched, fills, readers, size, evicted *prometheus.Desc // of the mirror

	requests, errors, limit, remaining, wait, down *prometheus.Desc // of each upstream
}

// Mirror returns a collector. stats is the method Stats of a mirror.
func Mirror(stats func() mirror.Stats) prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("registry_mirror_"+name, help, labels, nil)
	}
	return &mirrorMetrics{stats: stats,
		pulls: desc("pulls_total", "Blobs and manifests served: hit from the store, miss after a request to an upstream, "+
			"stale without the confirmation of the upstream.", "result"),
		served:  desc("served_bytes_total", "Bytes of blobs served to clients."),
		fetched: desc("fetched_bytes_total", "Bytes of blobs fetched from upstreams."),
		fills:   desc("fills", "Blobs that are being fetched."),
		readers: desc("readers", "Clients that read a blob while it is being fetched."),
		size:    desc("size_bytes", "Size of the cached blobs when it was last measured."),
		evicted: desc("evicted_bytes_total", "Bytes of blobs evicted."),

		requests:  desc("upstream_requests_total", "Requests to the upstream.", "upstream", "kind"),
		errors:    desc("upstream_errors_total", "Requests to the upstream that failed.", "upstream", "kind"),
		limit:     desc("upstream_limit", "Limit of pulls that the upstream has stated last.", "upstream"),
		remaining: desc("upstream_remaining", "Pulls that are left of the limit.", "upstream"),
		wait:      desc("upstream_wait_seconds", "Time until the upstream may be asked again after a 429.", "upstream"),
		down:      desc("upstream_down", "1 if the upstream does not respond.", "upstream"),
	}
}

// Describe implements prometheus.Collector.
func (m *mirrorMetrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.pulls, m.served, m.fetched, m.fills, m.readers, m.size, m.evicted, m.requests,
		m.errors, m.limit, m.remaining, m.wait, m.down} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (m *mirrorMetrics) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := m.stats()
	counter(m.pulls, s.Hits, "hit")
	counter(m.pulls, s.Misses, "miss")
	counter(m.pulls, s.Stale, "stale")
	counter(m.served, s.Served)
	counter(m.fetched, s.Fetched)
	gauge(m.fills, float64(s.Fills))
	gauge(m.readers, float64(s.Readers))
	gauge(m.size, float64(s.Size))
	counter(m.evicted, s.Evicted)
	for _, u := range s.Upstreams {
		for kind, n := range u.Requests {
			counter(m.requests, n, u.Name, kind)
		}
		for kind, n := range u.Errors {
			counter(m.errors, n, u.Name, kind)
		}
		if u.Limit >= 0 {
			gauge(m.limit, float64(u.Limit), u.Name)
			gauge(m.remaining, float64(u.Remaining), u.Name)
		}
		gauge(m.wait, max(0, time.Until(u.Until).Seconds()), u.Name)
		down := 0.0
		if u.Down {
			down = 1
		}
		gauge(m.down, down, u.Name)
	}
}
