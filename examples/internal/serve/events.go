package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/examples/internal/work"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/notification"
	hooks "github.com/registrykit/registry/notification/config"
	"github.com/registrykit/registry/notification/filter"
	"github.com/registrykit/registry/notification/format"
	eventlog "github.com/registrykit/registry/notification/log"
	"github.com/registrykit/registry/notification/multi"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/notification/queue"
	"github.com/registrykit/registry/storage/driver"
)

// events holds the flags for events.
type events struct {
	sources      []string // of webhooks: URLs and files
	secretFile   string
	format       string
	allowPrivate bool
	retry        []string // names of webhooks
	log          bool
	lease        time.Duration
	reindex      time.Duration

	webhooks []endpoint // set by check
}

// endpoint is a webhook with its sink.
type endpoint struct {
	hooks.Webhook
	sink notification.Sink
}

// pulls reports whether the webhook wants events of pulls.
func (w *endpoint) pulls() bool {
	others := 0
	for _, a := range w.Filter.Actions {
		switch {
		case a == notification.Pull:
			return true
		case a == "!"+notification.Pull:
			return false
		case !strings.HasPrefix(string(a), "!"):
			others++
		}
	}
	return others == 0
}

// wanted is the sink of a webhook while the outbox has not disabled it. A receiver that wants no more
// events gets no pulls either.
type wanted struct {
	notification.Sink
	name string
	box  *outbox.Outbox
}

func (w wanted) Notify(ctx context.Context, events []notification.Event) error {
	if w.box.Stats(w.name).Disabled {
		return nil
	}
	return w.Sink.Notify(ctx, events)
}

// receiver returns the scheme and host of the receiver. The rest of a URL often contains a secret.
func (w *endpoint) receiver() string {
	u, err := url.Parse(w.URL.Value())
	if err != nil {
		return "an invalid URL"
	}
	return u.Scheme + "://" + u.Host
}

func (e *events) flags() {
	flag.Func("webhook", "Send events to the receiver at this `URL`, with parameters after \"#\", or to the receivers in "+
		"this YAML file; see docs/events.md. Events are stored beside the images until they are delivered. May be repeated. "+
		"Default: none.", func(source string) error {
		e.sources = append(e.sources, source)
		return nil
	})
	flag.StringVar(&e.secretFile, "webhook-secret-file", "",
		"Sign webhooks with the secrets in this `file`, one in each line; the first signs first. Default: no signature.")
	flag.StringVar(&e.format, "webhook-format", format.NameCNCF,
		"Send webhooks in this `format` unless they name one: cncf, harbor, cloudevents, cloudevents-binary, "+
			"cloudevents-batch or json.")
	flag.BoolVar(&e.allowPrivate, "webhook-allow-private", false,
		"Allow receivers of webhooks on loopback and private addresses. Default: false.")
	flag.Func("webhook-retry", "At the start, send the webhook of this `name` its dead letters again, and enable it if "+
		"its receiver has answered 410. May be repeated. Default: none.", func(name string) error {
		e.retry = append(e.retry, name)
		return nil
	})
	flag.Func("events", "Also send events to this `sink`: log writes them to the log, at level info. Default: none.",
		func(name string) error {
			if name != "log" {
				return errors.New("must be log")
			}
			e.log = true
			return nil
		})
	flag.DurationVar(&e.lease, "outbox-lease", 30*time.Second,
		"Take over the events of a process that has stopped after this `time`. At least 1s.")
	flag.DurationVar(&e.reindex, "outbox-reindex", time.Hour,
		"Look for changes whose event was lost in a crash, a minute after the start and again after this `time`. "+
			"0: never.")
}

// check reads the configuration of the webhooks.
func (e *events) check(externalURL string) error {
	if len(e.sources) == 0 && (e.secretFile != "" || e.allowPrivate) {
		return errors.New("-webhook-secret-file and -webhook-allow-private need -webhook")
	}
	if e.lease != 0 && e.lease < time.Second || e.reindex < 0 {
		return errors.New("-outbox-lease must be at least 1s, and -outbox-reindex not negative")
	}
	if e.format != "" {
		if _, err := format.Named(e.format, nil); err != nil {
			return fmt.Errorf("-webhook-format: %w", err)
		}
	}
	loaded, err := hooks.Load(e.sources, &hooks.Options{Format: e.format, SecretFile: e.secretFile,
		ExternalURL: externalURL, AllowPrivate: e.allowPrivate})
	if err != nil {
		return fmt.Errorf("-webhook: %w", err)
	}
	e.webhooks = nil
	for _, w := range loaded {
		sink, err := w.Sink()
		if err != nil {
			return fmt.Errorf("-webhook %s: %w", w.Name, err)
		}
		e.webhooks = append(e.webhooks, endpoint{w, sink})
	}
	for _, name := range e.retry {
		if !slices.ContainsFunc(e.webhooks, func(w endpoint) bool { return w.Name == name }) {
			return fmt.Errorf("-webhook-retry: no webhook has the name %q", name)
		}
	}
	return nil
}

// sink returns the sink of the registry, or nil if no flag asks for events, and a function that
// delivers events until its context ends.
//
// Webhooks get events from the outbox. Only the events of pulls come from a queue in memory, for the
// webhooks that want them: a pull must not wait for a write.
func (e *events) sink(d driver.Driver, src outbox.Source, log *slog.Logger) (notification.Sink,
	func(context.Context), error) {
	var sinks []notification.Sink
	var runs []func(context.Context)
	if e.log {
		sinks = append(sinks, eventlog.New(log, nil))
	}
	var box *outbox.Outbox
	if len(e.webhooks) > 0 {
		var err error
		if box, err = e.outbox(d, log); err != nil {
			return nil, nil, err
		}
		sinks = append(sinks, box)
		runs = append(runs, func(ctx context.Context) { process.Ends(ctx, "outbox", box.Run(ctx), log) })
		runs = append(runs, func(ctx context.Context) { again(ctx, box, e.retry, log) })
		if e.reindex > 0 {
			find, err := e.reindexer(d, box, src, log)
			if err != nil {
				return nil, nil, err
			}
			runs = append(runs, find)
		}
	}
	for _, w := range e.webhooks {
		if !w.pulls() {
			continue
		}
		lost := func(dropped []notification.Event, reason error) {
			log.Warn("events of pulls are lost", "webhook", w.Name, "events", len(dropped), "error", reason)
		}
		q, err := queue.New(wanted{w.sink, w.Name, box}, &queue.Options{OnDrop: lost})
		if err != nil {
			return nil, nil, err
		}
		pulls, err := filter.New(q, &filter.Options{Actions: []notification.Action{notification.Pull}})
		if err != nil {
			return nil, nil, err
		}
		sinks = append(sinks, pulls)
		runs = append(runs, func(ctx context.Context) { process.Ends(ctx, "queue of pulls", q.Run(ctx), log) })
	}
	if len(sinks) == 0 {
		return nil, func(context.Context) {}, nil
	}
	return multi.New(sinks...), process.Together(runs), nil
}

// again enables webhooks that were disabled, and sends them their dead letters.
func again(ctx context.Context, box *outbox.Outbox, names []string, log *slog.Logger) {
	for _, name := range names {
		err := box.Enable(ctx, name)
		sent := 0
		if err == nil {
			sent, err = box.Replay(ctx, name)
		}
		log.InfoContext(ctx, "sent dead letters again", "webhook", name, "events", sent, "error", err)
	}
}

// outbox returns the outbox with the webhooks.
func (e *events) outbox(d driver.Driver, log *slog.Logger) (*outbox.Outbox, error) {
	destinations := make([]outbox.Destination, len(e.webhooks))
	for i, w := range e.webhooks {
		destinations[i] = outbox.Destination{Name: w.Name, Sink: w.sink}
	}
	return outbox.New(d, destinations, &outbox.Options{Logger: log, Instance: process.Instance(), Lease: e.lease,
		WriteTimeout: work.WriteTimeout})
}

// reindexer returns a function that looks for changes without an event until its context ends, on one
// replica at a time.
func (e *events) reindexer(d driver.Driver, box *outbox.Outbox, src outbox.Source,
	log *slog.Logger) (func(context.Context), error) {
	runner, err := jobs.New(d, &jobs.Options{Holder: process.Instance(), Poll: min(jobs.DefaultPoll, e.reindex),
		Jobs: []jobs.Job{work.Reindex(box, src, e.reindex, log)}})
	if err != nil {
		return nil, err
	}
	return process.Together([]func(context.Context){
		func(ctx context.Context) { work.ReindexSoon(ctx, runner, e.reindex, log) },
		func(ctx context.Context) { process.Ends(ctx, "the job "+work.ReindexName, runner.Run(ctx), log) },
	}), nil
}
