package registry

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
)

// The events of an operation are made here, after the operation has succeeded. The operations ask
// hasSink first, so that a registry without a Sink makes nothing for events.

// hasSink reports whether events are wanted.
func (g *guard) hasSink() bool { return g.r.opts.Sink != nil && !g.quiet }

// blobEvent returns an event about a blob.
func blobEvent(action notification.Action, repo string, desc ocispec.Descriptor) notification.Event {
	return notification.Event{Action: action, Kind: notification.Blob, Repository: repo, Target: &desc}
}

// pullEvent returns the event of a pull of a manifest by ref.
func pullEvent(repo string, ref reference.Ref, m *Manifest) notification.Event {
	desc := m.Descriptor
	desc.ArtifactType = manifest.ArtifactType(m.Content)
	return notification.Event{
		Action: notification.Pull, Kind: notification.Manifest, Repository: repo, Target: &desc, Tags: tagsOf(ref),
	}
}

// putEvents adds the event of a push or restore of a manifest, and one for each tag that moved.
func putEvents(events []notification.Event, action notification.Action, repo string,
	res PutResult) []notification.Event {
	desc := res.Descriptor
	desc.ArtifactType = res.ArtifactType
	events = append(events, notification.Event{
		Action: action, Kind: notification.Manifest, Repository: repo, Target: &desc, Tags: distinct(res.Tags),
	})
	for _, m := range res.Moved {
		events = append(events, notification.Event{
			Action: notification.Move, Kind: notification.Tag, Repository: repo, Target: &desc, Tags: []string{m.Tag},
			Previous: m.Previous.Digest,
		})
	}
	return events
}

// distinct returns a copy of tags in which each tag occurs once.
func distinct(tags []string) []string {
	var kept []string
	for _, tag := range tags {
		if !slices.Contains(kept, tag) {
			kept = append(kept, tag)
		}
	}
	return kept
}

// deleteEvent returns the event of a delete of which the backend has reported nothing.
func deleteEvent(op *Op) notification.Event {
	e := notification.Event{Action: notification.Delete, Repository: op.Repository, Tags: tagsOf(op.Ref)}
	switch op.Kind {
	case OpDeleteBlob:
		e.Kind = notification.Blob
	case OpDeleteManifest:
		e.Kind = notification.Manifest
	case OpDeleteTag:
		e.Kind = notification.Tag
	default:
		e.Kind = notification.Repository
	}
	if op.Ref.Digest != "" {
		e.Target = &ocispec.Descriptor{Digest: op.Ref.Digest}
	}
	return e
}

// onDeleted returns a function for DeleteOptions.Deleted that completes the event e, and then calls
// next.
func onDeleted(e *notification.Event, next func(ocispec.Descriptor, []string)) func(ocispec.Descriptor, []string) {
	return func(target ocispec.Descriptor, tags []string) {
		e.Target, e.Tags = &target, slices.Clone(tags)
		if next != nil {
			next(target, tags)
		}
	}
}

// tagsOf returns the tag of ref as a list.
func tagsOf(ref reference.Ref) []string {
	if ref.Tag == "" {
		return nil
	}
	return []string{ref.Tag}
}

// errNotRecorded is returned for an operation that succeeded, but whose event is lost.
var errNotRecorded = ErrUnavailable.WithMessage("the operation succeeded, but its event could not be recorded: " +
	"repeat the request")

// notify completes the events of one operation, of which there is at least one, and sends them to
// the Sink in one call. It logs an error of the Sink. The operation has succeeded already, so only
// ErrNotRecorded is an error for the caller.
//
// Errors: ErrUnavailable if the Sink could not record the events.
func (g *guard) notify(ctx context.Context, events ...notification.Event) error {
	request, now := g.eventRequest(ctx), time.Now()
	for i := range events {
		e := &events[i]
		e.ID, e.Time, e.Instance = notification.NewID(), now, g.r.opts.Instance
		e.Actor, e.Request = g.identity.Name, request
	}
	first := events[0] // the Sink owns events from here on
	err := g.callSink(ctx, events)
	if err == nil {
		return nil
	}
	g.r.log.ErrorContext(ctx, "event not delivered", "event", first.ID, "action", string(first.Action), "repository",
		first.Repository, "events", len(events), "error", err)
	if errors.Is(err, notification.ErrNotRecorded) {
		return errNotRecorded.WithCause(err)
	}
	return nil
}

// callSink calls the Sink. A panic in it becomes an error, so that no request can end the process.
func (g *guard) callSink(ctx context.Context, events []notification.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("registry: Options.Sink panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return g.r.opts.Sink.Notify(context.WithoutCancel(ctx), events)
}

// maxRequestText is the maximum length of a text of the client in an event, in bytes. A header of a
// request may have megabytes, and a Sink may store each event.
const maxRequestText = 512

// eventRequest returns the part of events that describes the HTTP request, or nil for a Go call.
// All events of a request have the same one.
func (g *guard) eventRequest(ctx context.Context) *notification.Request {
	r := g.request
	if r == nil {
		return nil
	}
	g.describe.Do(func() {
		g.described = &notification.Request{
			ID: limited(g.requestID(ctx)), Method: r.Method, Host: limited(r.Host), RemoteAddr: r.RemoteAddr,
			UserAgent: limited(r.UserAgent()),
		}
	})
	return g.described
}

// requestID returns the ID of the request.
func (g *guard) requestID(ctx context.Context) (id string) {
	defer func() {
		if p := recover(); p != nil {
			g.r.log.ErrorContext(ctx, "Options.RequestID panicked", "error", fmt.Sprintf("%v\n%s", p, debug.Stack()))
		}
		if id == "" {
			id = notification.NewID()
		}
	}()
	if f := g.r.opts.RequestID; f != nil {
		id = f(g.request)
	}
	return id
}

// limited returns the start of a text, in valid UTF-8.
func limited(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxRequestText)], "")
}
