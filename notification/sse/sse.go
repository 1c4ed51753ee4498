package sse

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/outbox"
)

// Defaults of [Options].
const (
	DefaultKeep         = 1000
	DefaultMaxClients   = 1000
	DefaultHeartbeat    = 15 * time.Second
	DefaultWriteTimeout = 30 * time.Second
	DefaultRecheck      = 15 * time.Second
	DefaultPoll         = 2 * time.Second
)

// Source is a log of the events of all replicas. *outbox.Outbox implements it.
type Source interface {
	// Since yields the events after cursor, see [outbox.Outbox.Since].
	Since(ctx context.Context, cursor string, opts *outbox.SinceOptions) iter.Seq2[outbox.Entry, error]
	// End returns the cursor after all events, see [outbox.Outbox.End].
	End(ctx context.Context) (string, error)
}

// Options are the options of [New]. nil means the zero Options: everyone may see everything that
// happens in this process. A negative value of any field is an error.
type Options struct {
	// Authenticator identifies the caller, as for the registry. Default: every caller is anonymous.
	Authenticator auth.Authenticator
	// Authorizer decides what a caller sees, as for the registry. Default: everything.
	Authorizer auth.Authorizer
	// Source is where the events come from, and where clients resume, usually the outbox. The
	// Handler reads it only while clients are connected, once for all of them. Default: nil, the
	// events are those given to [Handler.Notify].
	Source Source
	// Keep is the number of events in memory, from which clients resume if there is no Source.
	// Default: DefaultKeep, 1000.
	Keep int
	// MaxClients is the maximum number of streams at a time. Further requests get 503. Default:
	// DefaultMaxClients, 1000.
	MaxClients int
	// Heartbeat is the time after which a stream without events gets a comment. Default:
	// DefaultHeartbeat, 15 seconds.
	Heartbeat time.Duration
	// WriteTimeout is how long a client may take to read what was sent before its stream is cut
	// off. Default: DefaultWriteTimeout, 30 seconds.
	WriteTimeout time.Duration
	// Recheck is the time after which credentials and decisions are checked again. Default:
	// DefaultRecheck, 15 seconds.
	Recheck time.Duration
	// Poll is how often the Source is asked for events of other replicas. Default: DefaultPoll, two
	// seconds.
	Poll time.Duration
	// Logger receives failures of the Authenticator, the Authorizer and the Source. Default:
	// nothing is logged.
	Logger *slog.Logger
}

// Handler streams events. It is an [http.Handler] and a [notification.Sink], and is safe for
// concurrent use.
type Handler struct {
	opts Options
	log  *slog.Logger

	mu      sync.RWMutex  // Notify does not queue behind the clients
	ring    []entry       // the entry with number n is ring[n % len(ring)]
	next    uint64        // number of the next entry
	oldest  uint64        // number of the oldest entry that is kept
	last    string        // ID of the newest entry, or the cursor at which the follower began
	changed chan struct{} // closed when an entry is added
	clients int
	follow  *follower // nil if no client is connected, or without a Source

	closing sync.Once
	closed  chan struct{}
	reading chan struct{} // has an element for each client that reads the Source
}

var (
	_ http.Handler      = (*Handler)(nil)
	_ notification.Sink = (*Handler)(nil)
)

// entry is an event with its place in the stream.
type entry struct {
	event notification.Event
	id    string // for Last-Event-ID
}

// New returns a Handler. It starts nothing. opts may be nil.
//
// Errors: an error for a negative option.
func New(opts *Options) (*Handler, error) {
	o := options.Value(opts)
	if o.Keep < 0 || o.MaxClients < 0 || o.Heartbeat < 0 || o.WriteTimeout < 0 || o.Recheck < 0 || o.Poll < 0 {
		return nil, errors.New("sse: an option is negative")
	}
	options.Default(&o.Keep, DefaultKeep)
	options.Default(&o.MaxClients, DefaultMaxClients)
	options.Default(&o.Heartbeat, DefaultHeartbeat)
	options.Default(&o.WriteTimeout, DefaultWriteTimeout)
	options.Default(&o.Recheck, DefaultRecheck)
	options.Default(&o.Poll, DefaultPoll)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Handler{
		opts: o, log: o.Logger,
		ring: make([]entry, o.Keep), changed: make(chan struct{}), closed: make(chan struct{}),
		reading: make(chan struct{}, maxReading),
	}, nil
}

// Notify sends events to the clients, without waiting for them. It takes about half a microsecond for
// each client, which it wakes. With a Source, it does nothing: the events come from there. It never
// fails.
func (h *Handler) Notify(_ context.Context, events []notification.Event) error {
	if h.opts.Source != nil {
		return nil
	}
	added := make([]entry, len(events))
	for i, e := range events {
		added[i] = entry{event: e, id: e.ID}
	}
	h.mu.Lock()
	wake := h.add(added...)
	h.mu.Unlock()
	close(wake)
	return nil
}

// Close ends all streams, and refuses new ones with 503. A host passes it to
// http.Server.RegisterOnShutdown, because Shutdown waits for the streams otherwise. It may be called
// several times.
func (h *Handler) Close() {
	h.closing.Do(func() { close(h.closed) })
}

// add appends entries to the ring. The caller holds the lock, and closes the result afterwards, which
// wakes the clients.
func (h *Handler) add(entries ...entry) (wake chan struct{}) {
	for _, e := range entries {
		h.ring[h.next%uint64(len(h.ring))] = e
		h.next++
		h.last = e.id
	}
	if kept := uint64(len(h.ring)); h.next-h.oldest > kept {
		h.oldest = h.next - kept
	}
	wake = h.changed
	h.changed = make(chan struct{})
	return wake
}

// batchSize is the maximum number of entries that a client takes at a time.
const batchSize = 64

// batch is a part of the ring.
type batch struct {
	entries []entry
	lost    bool            // the entry at pos is no longer kept
	last    string          // ID of the newest entry, if entries is empty
	changed <-chan struct{} // closed when there are more
}

// after returns the entries from number pos on.
func (h *Handler) after(pos uint64) batch {
	h.mu.RLock()
	defer h.mu.RUnlock()
	b := batch{changed: h.changed, last: h.last}
	if pos < h.oldest {
		b.lost = true
		return b
	}
	for n := pos; n < h.next && len(b.entries) < batchSize; n++ {
		b.entries = append(b.entries, h.ring[n%uint64(len(h.ring))])
	}
	return b
}

// place returns the number of the entry after the one with an ID, and whether there is that one. An
// empty ID is the place of a new client.
func (h *Handler) place(id string) (pos uint64, last string, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if id == "" || id == h.last {
		return h.next, h.last, true
	}
	for n := h.next; n > h.oldest; n-- {
		if h.ring[(n-1)%uint64(len(h.ring))].id == id {
			return n, id, true
		}
	}
	return h.oldest, "", false
}
