package metrics

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HTTP measures the requests to the parts of a program.
type HTTP struct {
	seconds        *prometheus.HistogramVec
	sent, received *prometheus.CounterVec
}

// NewHTTP returns an HTTP that publishes its figures in r.
func NewHTTP(r prometheus.Registerer) (*HTTP, error) {
	h := &HTTP{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "registry_http_seconds",
			Help:    "Duration of HTTP requests in seconds, by part of the program, method and status.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 10),
		}, []string{"part", "method", "status"}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_http_sent_bytes_total", Help: "Total bytes of the bodies of HTTP responses.",
		}, []string{"part"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "registry_http_received_bytes_total", Help: "Total bytes of the bodies of HTTP requests.",
		}, []string{"part"}),
	}
	return h, errors.Join(r.Register(h.seconds), r.Register(h.sent), r.Register(h.received))
}

// Part returns a handler that measures the requests to a part of the program.
func (h *HTTP) Part(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		to := &sending{ResponseWriter: w, bytes: h.sent.WithLabelValues(name)}
		if r.Body != nil && r.Body != http.NoBody {
			r = r.WithContext(r.Context()) // a copy, because r belongs to the caller
			r.Body = &receiving{r.Body, h.received.WithLabelValues(name)}
		}
		defer func() {
			status := max(to.status, http.StatusOK)
			h.seconds.WithLabelValues(name, method(r.Method), strconv.Itoa(status)).Observe(time.Since(start).Seconds())
		}()
		next.ServeHTTP(to, r)
	})
}

// method returns a method as a label. Clients can send any text.
func method(name string) string {
	switch name {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return name
	}
	return "other"
}

// sending counts the bytes of a response. It passes ReadFrom on, so that files still go out by sendfile(2).
type sending struct {
	http.ResponseWriter
	bytes  prometheus.Counter
	status int
}

func (s *sending) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func (s *sending) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *sending) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.bytes.Add(float64(n))
	return n, err
}

func (s *sending) ReadFrom(from io.Reader) (int64, error) {
	n, err := io.Copy(s.ResponseWriter, from)
	s.bytes.Add(float64(n))
	return n, err
}

// receiving counts the bytes of a request.
type receiving struct {
	io.ReadCloser
	bytes prometheus.Counter
}

func (r *receiving) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.bytes.Add(float64(n))
	return n, err
}
