package outbox

import (
	"context"
	"errors"
	"iter"
	"time"

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
	opts   Options
}

// New returns an Outbox that stores events in d, usually the driver of the registry, and delivers
// them to sinks. Without sinks, events are only stored, for [Outbox.Since]. New makes no request,
// and starts nothing. opts may be nil.
//
// Errors: an error for an invalid name, a name that occurs twice, or an invalid option.
func New(d driver.Driver, sinks []Destination, opts *Options) (*Outbox, error) {
	o := &Outbox{driver: d, opts: options.Value(opts)}
	if err := o.opts.setDefaults(); err != nil {
		return nil, err
	}
	_ = sinks
	return o, nil
}

// Notify stores events. It returns once they are durable, with one small write that concurrent
// calls share.
//
// Errors: an error that wraps [notification.ErrNotRecorded] if the events could not be stored
// within Options.WriteTimeout. They stay in memory and are stored later if possible, so an event
// may be announced although Notify failed.
func (o *Outbox) Notify(ctx context.Context, events []notification.Event) error { return nil }

// Run delivers events to the sinks until ctx ends: those of this Outbox, and those that processes
// have left behind which have stopped. It also removes old events. Every replica runs it. At the
// end it closes its stream, so that another process delivers the rest at once. Notify still stores
// events after that.
//
// Errors: the error of ctx when it ends; ErrRunning. Failures of the storage and of sinks are
// logged and tried again.
func (o *Outbox) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

// Stats returns what this process has done for a sink. An unknown name has zero Stats.
func (o *Outbox) Stats(name string) notification.Stats { return notification.Stats{} }

// Entry is an event of the log.
type Entry struct {
	// Event is the event.
	Event notification.Event
	// Cursor is the position after the event. [Outbox.Since] continues there. It is text of at most
	// 12 KiB without spaces, for use in a URL or header.
	Cursor string
}

// SinceOptions are the options of [Outbox.Since]. nil means the zero SinceOptions.
type SinceOptions struct {
	// Follow makes Since wait for new events at the end of the log, instead of ending. Default: false.
	Follow bool
	// Poll is how often a Since that follows looks for events of other processes. Default: 1 second.
	Poll time.Duration
}

// Since yields the stored events after cursor, which is that of an Entry or of [Outbox.End]. An
// empty cursor means all events that are kept. The events of each process come in their order;
// those of several processes come one process after the other, unless Since follows. If events
// after the cursor have been removed, an entry with the action Missing says so. opts may be nil.
//
// Errors: an error is the last element. ErrCursor is yielded for a malformed cursor.
func (o *Outbox) Since(ctx context.Context, cursor string, opts *SinceOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {}
}

// End returns the cursor after all stored events.
func (o *Outbox) End(ctx context.Context) (string, error) { return "", nil }

// DeadLetter is an event that was given up for a sink.
type DeadLetter struct {
	// Event is the event.
	Event notification.Event
	// Time is when the event was given up.
	Time time.Time
	// Attempts is the number of calls of the sink with the event.
	Attempts int
	// Error is the text of the last error, of at most 500 bytes.
	Error string
}

// DeadLetters yields the dead letters of a sink, ordered by the IDs of their events.
//
// Errors: an error is the last element. ErrUnknownSink.
func (o *Outbox) DeadLetters(ctx context.Context, name string) iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {}
}

// Replay calls a sink with the dead letters of the given events, or with all of them if there are
// no ids. It removes those that the sink accepts, and returns their number, also with an error.
//
// Errors: ErrUnknownSink; the first error of the sink or of the storage.
func (o *Outbox) Replay(ctx context.Context, name string, ids ...string) (int, error) { return 0, nil }

// Enable calls a sink again that was disabled because its receiver wanted no more events, see
// [notification.ErrGone]. Deliveries continue where they stopped, in all replicas.
//
// Errors: ErrUnknownSink.
func (o *Outbox) Enable(ctx context.Context, name string) error { return nil }

// Source lists what is in the registry. *storage.Store implements it.
type Source interface {
	// Visible yields, repository by repository in ascending order, every manifest and every tag that
	// is visible and was written at or after since. A zero since yields everything.
	Visible(ctx context.Context, since time.Time) iter.Seq2[notification.Visible, error]
}

// ReindexOptions are the options of [Outbox.Reindex]. nil means the zero ReindexOptions.
type ReindexOptions struct {
	// Grace is how old a change must be before Reindex takes its event for lost. Default: 1 minute.
	Grace time.Duration
	// All also announces content that is older than the log. Default: false.
	All bool
}

// ReindexReport counts what [Outbox.Reindex] has done.
type ReindexReport struct {
	// Visible is the number of manifests and tags that the Source listed, and Events the number of
	// stored events.
	Visible, Events int64
	// Pushed, Moved and Deleted are the numbers of events that were stored for changes without one.
	Pushed, Moved, Deleted int64
}

// Reindex compares src with the stored events, and stores an event for each change that has none
// because a process died between the change and its event. The events have Found set. opts may be
// nil.
//
// Errors: errors of src and of the storage, and those of Notify. The report counts what was done.
func (o *Outbox) Reindex(ctx context.Context, src Source, opts *ReindexOptions) (ReindexReport, error) {
	return ReindexReport{}, nil
}
