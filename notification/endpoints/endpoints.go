package endpoints

import (
	"context"
	"errors"
	"sync"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// The errors of [Endpoints]. A method may wrap them with the reason.
var (
	// ErrUnknown is returned for an endpoint or a delivery that does not exist.
	ErrUnknown = errors.New("endpoints: unknown")
	// ErrInvalid is returned for malformed scopes, IDs and settings.
	ErrInvalid = errors.New("endpoints: invalid")
	// ErrLimit is returned by Create when there are too many endpoints.
	ErrLimit = errors.New("endpoints: too many")
	// ErrRetrying is returned by Replay for a delivery that is tried again anyway.
	ErrRetrying = errors.New("endpoints: the delivery is being retried")
	// ErrBusy is returned by Test and Replay while this process makes another request of that kind to the endpoint.
	ErrBusy = errors.New("endpoints: another test or replay of the endpoint is running")
	// ErrRunning is returned by Run while another call of it has not returned.
	ErrRunning = errors.New("endpoints: Run is running already")
)

// Endpoints are the webhook endpoints of a registry. It is a [notification.Sink] for an outbox. It is safe for
// concurrent use.
type Endpoints struct {
	driver driver.Driver
	opts   Options
	cache  cache
	holder string // this process, in heartbeats

	working, failing chan struct{} // one element for each request on its way

	logs logCounts

	mu       sync.Mutex
	ctx      context.Context // of the call of Run, or nil
	group    sync.WaitGroup
	ended    bool // Run has ended: other processes deliver what is added
	own      *prefix
	adopted  map[string]*prefix
	workers  map[ID]*worker
	requests map[ID]bool // endpoints with a running Test or Replay
	hooks    map[ID]*hook
	leading  sync.Mutex // one heartbeat of an own prefix is written at a time
}

var _ notification.Sink = (*Endpoints)(nil)

// New returns the endpoints that are stored in d, usually the driver of the registry. It makes no request and starts
// nothing. opts may be nil.
//
// Errors: an error for an invalid option.
func New(d driver.Driver, opts *Options) (*Endpoints, error) {
	if d == nil {
		return nil, errors.New("endpoints: the driver is nil")
	}
	e := &Endpoints{driver: d, opts: options.Value(opts), holder: newNonce(), adopted: map[string]*prefix{},
		workers: map[ID]*worker{}, requests: map[ID]bool{}, hooks: map[ID]*hook{}}
	if err := e.opts.setDefaults(); err != nil {
		return nil, err
	}
	e.working = make(chan struct{}, e.opts.Concurrency)
	e.failing = make(chan struct{}, e.opts.Concurrency)
	e.logs.written = map[string]int{}
	e.cache.e = e
	return e, nil
}
