package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// Defaults of Options.
const (
	DefaultKeep      = 365 * 24 * time.Hour
	DefaultFlush     = 5 * time.Second
	DefaultDecisions = 600
)

// writeTimeout is how long Notify and Add wait for the storage.
const writeTimeout = 10 * time.Second

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Keep is how long records are kept. A record that arrives late is kept for Keep from its arrival.
	// Default: DefaultKeep, 365 days. Less than a day is an error.
	Keep time.Duration
	// Flush is how long decisions wait in memory. Default: DefaultFlush, five seconds. A negative
	// value is an error.
	Flush time.Duration
	// Decisions is the maximum number of records of refusals that this process makes in a minute, and
	// of allowed requests. Further ones are counted in records without a repository, name and actor.
	// One address makes at most a tenth of the refusals; further ones of it are counted in a record
	// with its address. A record has about 400 bytes. Default: DefaultDecisions, 600. A negative value
	// is an error.
	Decisions int
	// Instance is the name of this process in the records that it makes. Default: "".
	Instance string
	// Logger receives decisions that cannot be stored, and damaged objects. Default: nothing is
	// logged.
	Logger *slog.Logger
}

// Log is an audit log. It is safe for concurrent use, and any number of processes may have one over
// the same storage.
type Log struct {
	driver  driver.Driver
	opts    Options
	log     *slog.Logger
	pending pending
}

var _ notification.Sink = (*Log)(nil)

// New returns the audit log in a storage. d is the driver of the registry. It makes no request and
// starts nothing, see [Log.Run] and [Log.Job]. opts may be nil.
//
// Errors: an error for an invalid option.
func New(d driver.Driver, opts *Options) (*Log, error) {
	o := options.Value(opts)
	options.Default(&o.Keep, DefaultKeep)
	options.Default(&o.Flush, DefaultFlush)
	options.Default(&o.Decisions, DefaultDecisions)
	switch {
	case d == nil:
		return nil, errors.New("audit: no driver")
	case o.Keep < 24*time.Hour:
		return nil, errors.New("audit: Options.Keep is less than a day")
	case o.Flush < 0 || o.Decisions < 0:
		return nil, errors.New("audit: Options.Flush or Options.Decisions is negative")
	}
	l := &Log{driver: d, opts: o, log: slog.New(slog.DiscardHandler)}
	if o.Logger != nil {
		l.log = o.Logger
	}
	l.pending.limit = o.Decisions
	return l, nil
}

// Notify stores the records of events, and returns once they are durable. It ignores events of
// pulls. See the package comment for the ways to call it.
//
// Errors: an error that wraps notification.ErrNotRecorded. Some of the records may be stored then.
func (l *Log) Notify(ctx context.Context, events []notification.Event) error {
	var records []Record
	for _, e := range events {
		if r, ok := fromEvent(e); ok {
			records = append(records, r)
		}
	}
	return l.Add(ctx, records...)
}

// Add stores records of the caller, and returns once they are durable. A record without ID, Time,
// Outcome or Instance gets a new ID, the present time, Allowed, and Options.Instance. Texts are cut
// after 512 bytes.
//
// Errors: an error that wraps notification.ErrNotRecorded. Some of the records may be stored then.
func (l *Log) Add(ctx context.Context, records ...Record) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now := time.Now()
	for i := range records {
		records[i].complete(now, l.opts.Instance)
	}
	all, err := entries(records)
	if err == nil {
		err = l.store(ctx, all)
	}
	if err != nil {
		return fmt.Errorf("audit: %w: %w", notification.ErrNotRecorded, err)
	}
	return nil
}
