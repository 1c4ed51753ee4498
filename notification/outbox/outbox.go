package outbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

var (
	// ErrUnknownSink is returned for a name that is not one of the sinks of the Outbox.
	ErrUnknownSink = errors.New("outbox: unknown sink")
	// ErrCursor is returned by [Outbox.Since] for a cursor that is malformed.
	ErrCursor = errors.New("outbox: malformed cursor")
	// ErrRunning is returned by [Outbox.Run] while another call of it has not returned.
	ErrRunning = errors.New("outbox: Run is running already")
)

// Outbox is a [notification.Sink] that stores events and delivers them. See the package comment.
type Outbox struct {
	driver driver.Driver
	sinks  []Destination // without sinks, nobody alone
	opts   Options
	owner  string // this Outbox, in cursors

	writer  writer
	running running

	scanned     chan struct{} // closed when the cursors and the disabled sinks were listed once
	scannedOnce sync.Once

	statsMu sync.Mutex
	stats   map[string]*notification.Stats
	reports map[string]report

	disabledMu sync.Mutex
	disabled   map[string]bool
}

// New returns an Outbox that stores events in d, usually the driver of the registry, and delivers
// them to sinks. Without sinks, events are only stored, for [Outbox.Since]. New makes no request,
// and starts nothing. opts may be nil.
//
// Errors: an error for an invalid name, a name that occurs twice, or an invalid option.
func New(d driver.Driver, sinks []Destination, opts *Options) (*Outbox, error) {
	o := &Outbox{driver: d, opts: options.Value(opts), stats: map[string]*notification.Stats{},
		reports:  map[string]report{},
		disabled: map[string]bool{}, scanned: make(chan struct{})}
	if err := o.opts.setDefaults(); err != nil {
		return nil, err
	}
	for _, s := range sinks {
		switch {
		case !validSink.MatchString(s.Name):
			return nil, fmt.Errorf("outbox: invalid name of a sink: %q", s.Name)
		case s.Sink == nil:
			return nil, fmt.Errorf("outbox: the sink %s is nil", s.Name)
		case o.stats[s.Name] != nil:
			return nil, fmt.Errorf("outbox: two sinks have the name %s", s.Name)
		}
		o.stats[s.Name] = &notification.Stats{}
	}
	o.sinks = slices.Clone(sinks)
	if len(sinks) == 0 {
		o.sinks = []Destination{{Name: nobody}}
		o.stats[nobody] = &notification.Stats{}
	}
	o.owner = strings.TrimPrefix(o.opts.Instance+" ", " ") + newNonce()
	o.running.lanes = map[string]*lane{}
	return o, nil
}
