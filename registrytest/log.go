package registrytest

import (
	"log/slog"
	"testing"

	"github.com/registrykit/registry"
)

// withLogger returns opts with a logger.
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

// testWriter writes lines to the log of a test. After the end of the test it must not be used.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Logf("%s", p)
	return len(p), nil
}
