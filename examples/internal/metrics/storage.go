package metrics

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registrykit/registry/storage/driver"
)

// Storage returns a driver that measures the calls of d, and publishes the figures in r. It is as able as d.
func Storage(d driver.Driver, r prometheus.Registerer) (driver.Driver, error) {
	m := &measured{Driver: d, seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "registry_storage_seconds",
		Help: "Duration of calls of the storage in seconds, by call and result. That of open is the time to the first " +
			"byte.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
	}, []string{"call", "result"})}
	if err := r.Register(m.seconds); err != nil {
		return nil, err
	}
	adopter, ok := d.(driver.Adopter)
	if !ok {
		return m, nil
	}
	return struct {
		*measured
		driver.Adopter
	}{m, adopter}, nil
}

// measured is a driver that measures calls. The methods of the optional interfaces return what a driver without them
// returns, except for that of Adopter.
type measured struct {
	driver.Driver
	seconds *prometheus.HistogramVec
}

var (
	_ driver.URLSigner     = (*measured)(nil)
	_ driver.Sweeper       = (*measured)(nil)
	_ driver.SingleProcess = (*measured)(nil)
	_ driver.Local         = (*measured)(nil)
)

// observe records a call.
func (m *measured) observe(call string, start time.Time, err error) {
	m.seconds.WithLabelValues(call, result(err)).Observe(time.Since(start).Seconds())
}

// result returns the result of a call as a label. Conditions that do not hold are part of normal work.
func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, driver.ErrNotExist), errors.Is(err, driver.ErrNotModified):
		return "none"
	case errors.Is(err, driver.ErrExist), errors.Is(err, driver.ErrChanged):
		return "conflict"
	case errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "error"
}

func (m *measured) Open(ctx context.Context, key string, opts *driver.OpenOptions) (r io.ReadCloser, info driver.Info,
	err error) {
	defer func(start time.Time) { m.observe("open", start, err) }(time.Now())
	return m.Driver.Open(ctx, key, opts)
}

func (m *measured) Stat(ctx context.Context, key string) (info driver.Info, err error) {
	defer func(start time.Time) { m.observe("stat", start, err) }(time.Now())
	return m.Driver.Stat(ctx, key)
}

func (m *measured) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (info driver.Info,
	err error) {
	defer func(start time.Time) { m.observe("put", start, err) }(time.Now())
	return m.Driver.Put(ctx, key, body, opts)
}

func (m *measured) Delete(ctx context.Context, key, ifVersion string) (err error) {
	defer func(start time.Time) { m.observe("delete", start, err) }(time.Now())
	return m.Driver.Delete(ctx, key, ifVersion)
}

func (m *measured) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		var failed error
		defer func(start time.Time) { m.observe("list", start, failed) }(time.Now())
		for info, err := range m.Driver.List(ctx, prefix, opts) {
			if failed = err; !yield(info, err) {
				return
			}
		}
	}
}

func (m *measured) Sync(ctx context.Context, keys ...string) (err error) {
	defer func(start time.Time) { m.observe("sync", start, err) }(time.Now())
	return m.Driver.Sync(ctx, keys...)
}

func (m *measured) SignedURL(ctx context.Context, key string, expiry time.Duration) (string, error) {
	if d, ok := m.Driver.(driver.URLSigner); ok {
		return d.SignedURL(ctx, key, expiry)
	}
	return "", errors.ErrUnsupported
}

func (m *measured) Sweep(ctx context.Context, prefix string, before time.Time) (int, error) {
	if d, ok := m.Driver.(driver.Sweeper); ok {
		return d.Sweep(ctx, prefix, before)
	}
	return 0, nil
}

func (m *measured) Local() bool {
	d, ok := m.Driver.(driver.Local)
	return ok && d.Local()
}

func (m *measured) SingleProcess() (reason string) {
	if d, ok := m.Driver.(driver.SingleProcess); ok {
		return d.SingleProcess()
	}
	return ""
}
