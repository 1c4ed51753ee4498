// Package registrytest is for tests of programs that talk to a registry, and of programs that embed
// one: [NewServer] is a registry in one line, [RandomImage] is something to push.
package registrytest

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// Server is a registry that listens on a loopback address.
type Server struct {
	// URL is the base of its URLs, "http://127.0.0.1:12345".
	URL string
	// Host is what the names of its images begin with, "127.0.0.1:12345".
	Host string
	// Registry is the registry itself.
	Registry *registry.Registry
	// Store is the backend: what it does, neither the Authorizer nor the Sink hears of.
	Store *storage.Store
}

// NewServer starts a registry that keeps everything in memory, and stops it when the test ends.
// opts may be nil; its Logger, if it has none, becomes one that writes to the log of the test.
func NewServer(t testing.TB, opts *registry.Options) *Server {
	t.Helper()
	store := NewStore(t)
	reg, err := registry.New(store, withLogger(t, opts))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(reg)
	t.Cleanup(s.Close)
	return &Server{URL: s.URL, Host: strings.TrimPrefix(s.URL, "http://"), Registry: reg, Store: store}
}

// NewStore returns an empty store in memory.
func NewStore(t testing.TB) *storage.Store {
	t.Helper()
	driver, err := memory.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.New(context.Background(), driver, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
