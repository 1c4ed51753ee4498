// Package notification has the events of a registry, and the interface of their receivers. Set a
// [Sink] in registry.Options.Sink to receive them. Sinks that queue, store or send events are its
// subpackages, or the host's own.
package notification

import (
	"context"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Action is the kind of an [Event], in the words of the CNCF registry's events.
type Action string

const (
	// Push means that a blob was committed, or that a manifest was pushed: one event for the
	// manifest and all its tags.
	Push Action = "push"
	// Pull means that a manifest or blob was read. A HEAD request is not a pull.
	Pull Action = "pull"
	// Mount means that a blob of another repository was added to this one.
	Mount Action = "mount"
	// Delete means that a blob, manifest, tag or repository was deleted.
	Delete Action = "delete"
)

// Event describes one operation that succeeded.
type Event struct {
	// ID is unique for each event.
	ID string
	// Time is when the operation succeeded.
	Time time.Time
	// Action is the kind of the event.
	Action Action
	// Repository is the repository of the operation.
	Repository string
	// Target is the manifest or blob of the operation. It is empty if a repository or tag was
	// deleted. For other deletes only its digest is set.
	Target ocispec.Descriptor
	// Tags are the tags that were set, deleted or read by name.
	Tags []string
	// From is the repository that a blob was mounted from, or "" if it is not known.
	From string
	// Actor is the name of the identity that performed the operation, or "" if anonymous.
	Actor string
	// Request describes the HTTP request. It is nil for a call from Go code.
	Request *Request
}

// Request describes the HTTP request that caused an [Event].
type Request struct {
	// Method is the HTTP method.
	Method string
	// Host is the Host header.
	Host string
	// RemoteAddr is the address of the peer of the connection.
	RemoteAddr string
	// UserAgent is the User-Agent header.
	UserAgent string
}

// Sink receives events.
type Sink interface {
	// Notify is called once for each event, after the operation has succeeded and before the client
	// gets its response, by many goroutines at once. It should return quickly, because the client
	// waits. ctx is not cancelled with the request. An error is logged and has no other effect.
	Notify(ctx context.Context, event Event) error
}

// SinkFunc is a function that implements [Sink].
type SinkFunc func(ctx context.Context, event Event) error

// Notify calls f.
func (f SinkFunc) Notify(ctx context.Context, event Event) error { return f(ctx, event) }
