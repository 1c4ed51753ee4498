package registrytest

import (
	"log/slog"
	"testing"

	"github.com/registrykit/registry"
)

// withLogger returns opts with a logger that writes to the log of the test, if opts has none.
func withLogger(t testing.TB, opts *registry.Options) *registry.Options {
	o := registry.Options{}
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(testWriter{t}, nil))
	}
	return &o
}

// testWriter writes to the log of a test. It must not be used after the end of the test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Logf("%s", p)
	return len(p), nil
}
