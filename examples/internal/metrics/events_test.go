package metrics_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/examples/internal/metrics"
	"github.com/registrykit/registry/notification"
)

func TestEventMetrics(t *testing.T) {
	stats := map[string]notification.Stats{
		"ci":   {Delivered: 7, Failed: 2, Dropped: 1, Pending: 3, Oldest: time.Now().Add(-time.Hour)},
		"idle": {Disabled: true},
	}
	m := metrics.Events(func(sink string) notification.Stats { return stats[sink] }, "ci", "idle")
	gathered := prometheus.NewRegistry()
	require.NoError(t, gathered.Register(m))
	require.NoError(t, testutil.GatherAndCompare(gathered, strings.NewReader(`
# HELP registry_events_delivered_total Events that the sink has accepted.
# TYPE registry_events_delivered_total counter
registry_events_delivered_total{sink="ci"} 7
registry_events_delivered_total{sink="idle"} 0
# HELP registry_events_disabled 1 if the receiver wants no more events.
# TYPE registry_events_disabled gauge
registry_events_disabled{sink="ci"} 0
registry_events_disabled{sink="idle"} 1
# HELP registry_events_pending Events that wait for the sink.
# TYPE registry_events_pending gauge
registry_events_pending{sink="ci"} 3
registry_events_pending{sink="idle"} 0
`), "registry_events_delivered_total", "registry_events_disabled", "registry_events_pending"))
	families, err := gathered.Gather()
	require.NoError(t, err)
	require.Len(t, families, 6)
	for _, f := range families {
		if f.GetName() == "registry_events_oldest_seconds" {
			require.InDelta(t, 3600, f.GetMetric()[0].GetGauge().GetValue(), 60)
			require.Zero(t, f.GetMetric()[1].GetGauge().GetValue())
		}
	}
}
