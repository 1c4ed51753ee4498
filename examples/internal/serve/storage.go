package serve

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Storage is the storage of a program.
type Storage struct {
	// Usage is the usage text of the flag -storage.
	Usage string
	// Default is the default of the flag -storage. "" makes the flag required.
	Default string
	// Open opens the storage that the flag -storage names. The program may have registered further
	// flags. If the driver is an io.Closer, it is closed at the end.
	Open func(ctx context.Context, name string) (driver.Driver, error)
	// Check, unless nil, checks further flags of the program before anything is opened.
	Check func() error
	// Users, unless nil, returns what authenticates callers instead of the users of -htpasswd.
	Users func(auth.Authenticator) auth.Authenticator
	// Serve, unless nil, returns what the program serves instead of the store.
	Serve func(ctx context.Context, p *Parts) (*Served, error)
}

// Parts are the parts from which Storage.Serve makes a backend.
type Parts struct {
	Store  *storage.Store
	Driver driver.Driver
	Log    *slog.Logger
}

// Served is what a program serves instead of the store.
type Served struct {
	// Backend is the backend.
	Backend registry.Backend
	// Resolve is the value of registry.Options.Resolve, or nil.
	Resolve func(registry.NameQuery) (string, error)
	// Around, unless nil, returns a handler around the registry.
	Around func(http.Handler) http.Handler
	// Run, unless nil, does work in the background until its context ends.
	Run func(ctx context.Context) error
	// Hosts are further host names under which the registry is reached.
	Hosts []string
	// Pages are further paths, such as "/metrics".
	Pages map[string]http.Handler
	// Greet, unless nil, prints what to try first. name is the address, scheme that of its URLs.
	Greet func(w io.Writer, scheme, name string)
}

// served returns what the program serves.
func (s *Storage) served(ctx context.Context, p *Parts) (*Served, error) {
	if s.Serve == nil {
		return &Served{Backend: p.Store}, nil
	}
	return s.Serve(ctx, p)
}

// work does the work in the background until ctx ends.
func (s *Served) work(ctx context.Context, log *slog.Logger) {
	if s.Run != nil {
		process.Ends(ctx, "the work in the background", s.Run(ctx), log)
	}
}

// resolver returns the value of token.Options.Resolve, or nil.
func (s *Served) resolver() func(repo string) string {
	if s.Resolve == nil {
		return nil
	}
	return func(repo string) string {
		name, err := s.Resolve(registry.NameQuery{Repository: repo, Request: &http.Request{}})
		if err != nil {
			return repo
		}
		return name
	}
}
