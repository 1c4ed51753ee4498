package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification/endpoints"
)

// SignIns returns a function that counts sign-ins, for signin.Options.Audit.
func SignIns(r prometheus.Registerer) (func(auth.Decision), error) {
	count := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "registry_sign_ins_total", Help: "Sign-ins that began a session, or were refused.",
	}, []string{"allowed"})
	for _, allowed := range []string{"true", "false"} {
		count.WithLabelValues(allowed)
	}
	return func(d auth.Decision) { count.WithLabelValues(strconv.FormatBool(d.Allowed)).Inc() }, r.Register(count)
}

// Webhooks returns a function that counts the requests to the receivers of users, for endpoints.Options.Observe.
func Webhooks(r prometheus.Registerer) (func(endpoints.Observation), error) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "registry_webhook_seconds",
		Help:    "Duration of requests to the webhooks of users in seconds, by result.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
	}, []string{"result"})
	for _, state := range []endpoints.State{endpoints.Delivered, endpoints.Retrying, endpoints.Dead} {
		seconds.WithLabelValues(string(state))
	}
	return func(o endpoints.Observation) {
		seconds.WithLabelValues(string(o.Delivery.State)).Observe(o.Delivery.Duration.Seconds())
	}, r.Register(seconds)
}
