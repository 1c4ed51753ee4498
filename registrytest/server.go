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
	// URL is the base URL, such as "http://127.0.0.1:12345".
	URL string
	// Host is the first part of the names of its images, such as "127.0.0.1:12345".
	Host string
	// Registry is the registry itself.
	Registry *registry.Registry
	// Store is the backend of the registry. Calls to it bypass the Authorizer and cause no events.
	Store *storage.Store
}

// NewServer starts a registry that keeps everything in memory. It stops the registry when the test
// ends. opts may be nil. Without Options.Logger, the registry logs to the log of the test.
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
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}
