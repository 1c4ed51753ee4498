package outbox

import (
	"errors"
	"log/slog"
	"time"

	"github.com/registrykit/registry/notification"
)

// Options are the options of [New]. nil means the zero Options.
type Options struct {
	// Logger gets what goes wrong: dropped events, failing sinks, corrupt objects. Default: nothing
	// is logged.
	Logger *slog.Logger
	// Instance is the name of this process in the records, for people who look at them. Default: "".
	Instance string
	// Pulls stores events of pulls too. Each pull then waits for a write. Default: false, events of
	// pulls are discarded; send them to another sink with package multi.
	Pulls bool
	// Lease is how long a replica waits, by its own clock, before it takes over the deliveries of
	// a stopped replica. All replicas should have the same value: one with a shorter Lease
	// takes deliveries from another one that lives. Default: 30 seconds. Less than 1 second is an
	// error.
	Lease time.Duration
	// WriteTimeout is how long Notify tries to store events before it returns an error that wraps
	// [notification.ErrNotRecorded]. One caller at a time waits for the storage itself, and so for as
	// long as a driver that ignores its context. Default: 10 seconds.
	WriteTimeout time.Duration
	// SinkTimeout is when the context of one call of a sink ends. Default: 2 minutes.
	SinkTimeout time.Duration
	// Batch is the maximum number of events in one call of a sink. Default: 100.
	Batch int
	// GiveUp is how long a sink may fail before an event becomes a dead letter. Default: 72 hours.
	GiveUp time.Duration
	// GiveUpRefused is the same for an event that the sink refuses, see [notification.ErrRefused].
	// Events behind it wait that long. Default: 15 minutes.
	GiveUpRefused time.Duration
	// Keep is how long events are kept: delivered ones for Since and Reindex, others until the sink
	// accepts them. Default: 7 days. Less than four times Lease is an error. Less than four times Lease is an error.
	Keep time.Duration
	// KeepDeadLetters is how long dead letters are kept. Default: 30 days.
	KeepDeadLetters time.Duration
	// MaxEvents is the maximum number of events in a stream. Default: 1,000,000.
	MaxEvents int64
	// MaxBytes is the maximum size of a stream, in bytes. Default: 1 GiB.
	MaxBytes int64
	// Block makes Notify return [notification.ErrNotRecorded] when a sink is so far behind that the
	// stream has reached MaxEvents or MaxBytes. Pushes then fail with 503. Sinks that are disabled
	// do not count. Default: false, the oldest events are dropped, and the sink gets an event with
	// the action Missing.
	Block bool
	// Observe is called after each call of a sink, for metrics. It must return quickly. Default: nil.
	Observe func(Observation)
}

// Observation describes one call of a sink.
type Observation struct {
	// Sink is the name of the sink.
	Sink string
	// Events is the number of events in the call, and Delivered how many of them were accepted.
	Events, Delivered int
	// Duration is how long the call took.
	Duration time.Duration
	// Err is the error of the call, or nil.
	Err error
}

const (
	defaultLease           = 30 * time.Second
	defaultWriteTimeout    = 10 * time.Second
	defaultSinkTimeout     = 2 * time.Minute
	defaultBatch           = 100
	defaultGiveUp          = 72 * time.Hour
	defaultGiveUpRefused   = 15 * time.Minute
	defaultKeep            = 7 * 24 * time.Hour
	defaultKeepDeadLetters = 30 * 24 * time.Hour
	defaultMaxEvents       = 1_000_000
	defaultMaxBytes        = 1 << 30
)

// setDefaults checks the options and fills in the defaults.
func (o *Options) setDefaults() error {
	for _, d := range []struct {
		name     string
		value    *time.Duration
		fallback time.Duration
	}{
		{"Lease", &o.Lease, defaultLease},
		{"WriteTimeout", &o.WriteTimeout, defaultWriteTimeout},
		{"SinkTimeout", &o.SinkTimeout, defaultSinkTimeout},
		{"GiveUp", &o.GiveUp, defaultGiveUp},
		{"GiveUpRefused", &o.GiveUpRefused, defaultGiveUpRefused},
		{"Keep", &o.Keep, defaultKeep},
		{"KeepDeadLetters", &o.KeepDeadLetters, defaultKeepDeadLetters},
	} {
		if *d.value < 0 {
			return errors.New("outbox: Options." + d.name + " is negative")
		}
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	if o.Lease < time.Second {
		return errors.New("outbox: Options.Lease is less than a second")
	}
	if o.Keep/4 < o.Lease { // see writeBatch
		return errors.New("outbox: Options.Keep is less than four times Options.Lease")
	}
	if o.Batch < 0 || o.MaxEvents < 0 || o.MaxBytes < 0 {
		return errors.New("outbox: Options.Batch, MaxEvents or MaxBytes is negative")
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	if o.MaxEvents == 0 {
		o.MaxEvents = defaultMaxEvents
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(Observation) {}
	}
	return nil
}

// Destination is a sink with a name.
type Destination struct {
	// Name identifies the sink in the storage, over restarts and replicas: 1 to 64 lower-case
	// letters, digits and the characters - _ . that begin with a letter or digit. A sink with a new
	// name gets the events from then on.
	Name string
	// Sink receives the events. It is called by one goroutine for each stream.
	Sink notification.Sink
}
