// Package notification holds what a registry says of what happened in it, and the interface of
// those who want to hear it. Sinks that queue, store or send events are its subpackages, or the
// host's.
package notification

import (
	"context"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Action is what happened, in the words of the CNCF registry's events.
type Action string

const (
	// Push: a blob was committed, or a manifest was put (once for the manifest and each tag
	// together).
	Push Action = "push"
	// Pull: a manifest or blob was read. HEAD is no pull.
	Pull Action = "pull"
	// Mount: a blob of another repository was made known in this one.
	Mount Action = "mount"
	// Delete: a blob, manifest, tag or repository was deleted.
	Delete Action = "delete"
)

// Event is one thing that has happened.
type Event struct {
	// ID is unique for each event.
	ID string
	// Time is when it happened.
	Time time.Time
	// Action is what happened.
	Action Action
	// Repository is where it happened.
	Repository string
	// Target is what it happened to; empty for a repository and for a tag that was deleted.
	Target ocispec.Descriptor
	// Tags are the tags that were set, deleted or read by name.
	Tags []string
	// From is the repository a blob was mounted from, if known.
	From string
	// Actor is the name of the identity that did it; "" is anonymous.
	Actor string
	// Request is the HTTP request it came by; nil if it was done by a call in this process.
	Request *Request
}

// Request is what an [Event] tells of the HTTP request that caused it.
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

// Sink hears of events.
type Sink interface {
	// Notify is called once for each event, after it has happened and before the client is
	// answered, by many goroutines at once. It should return quickly. An error is logged and
	// changes nothing else.
	Notify(ctx context.Context, event Event) error
}

// SinkFunc is a function as a [Sink].
type SinkFunc func(ctx context.Context, event Event) error

// Notify calls f.
func (f SinkFunc) Notify(ctx context.Context, event Event) error { return f(ctx, event) }
