package filter

import (
	"context"
	"errors"
	"fmt"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// Options are the options of [New]. The package comment says what the lists mean. Zero Options
// select all events.
type Options struct {
	// Actions selects events by what happened, such as "push", or "!pull" for all but pulls.
	// Default: all actions.
	Actions []notification.Action
	// Kinds selects events by the kind of content, such as "manifest" or "!blob". Default: all
	// kinds.
	Kinds []notification.Kind
	// Repositories selects events by repository, such as "library/**" or "!tmp/**". Default: all
	// repositories.
	Repositories []string
	// Tags selects events by tag, such as "v*" or "!*-dev", and removes the other tags from the
	// events. Default: all events, with all tags.
	Tags []string
	// MediaTypes selects events by the media type of their target. Default: all media types.
	MediaTypes []string
	// ArtifactTypes selects events by the artifact type of their target, such as
	// "application/vnd.cncf.helm.*". Most images have none. Default: all artifact types.
	ArtifactTypes []string
	// Actors selects events by the name of the caller. Default: all callers.
	Actors []string

	// NoSignatures leaves out signatures and what is stored like them: the tags of cosign, such as
	// "sha256-<hex>.sig", ".att" and ".sbom", and the tag "sha256-<hex>" of clients without the
	// referrers API; and manifests with an artifact type of cosign, sigstore, Notary, DSSE or
	// in-toto. A signature that is pulled by digest and has no artifact type is not recognised.
	NoSignatures bool
	// NoBlobs leaves out events about blobs, which are layers and configs. A registry does not know
	// which of the two a blob is.
	NoBlobs bool

	// SamplePulls passes on about one of this number of pulls, with the number multiplied into
	// Event.Count, so that the sum of Count over all events estimates the number of pulls. The
	// choice depends on the ID of the event only, so it is the same for each attempt to deliver it,
	// and for every filter with this number. Default: all pulls. A negative value is an error.
	SamplePulls int
}

// FieldError is the error of [New] for a mistake in a list of [Options].
type FieldError struct {
	// Field is the name of the field, such as "Repositories".
	Field string
	// Index is the position in the list, counted from zero. It is -1 for a field that is no list.
	Index int
	// Err is what is wrong.
	Err error
}

func (e *FieldError) Error() string {
	if e.Index < 0 {
		return fmt.Sprintf("filter: %s: %v", e.Field, e.Err)
	}
	return fmt.Sprintf("filter: %s[%d]: %v", e.Field, e.Index, e.Err)
}

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

// New returns a Sink that passes on to next the events that opts select. If none of the events of a
// call is selected, next is not called, and there is no error.
//
// An error of next is returned with the number of delivered events in terms of what the filter was
// given, see [notification.Delivered]: events that were left out count as delivered. A caller that
// repeats the others therefore delivers each selected event once.
//
// Errors: a [FieldError] is returned for an unknown action or kind, for an empty, malformed or too
// costly pattern, and for a negative number. Another error is returned if next is nil.
func New(next notification.Sink, opts *Options) (notification.Sink, error) {
	if next == nil {
		return nil, errors.New("filter: the next sink is nil")
	}
	o := options.Value(opts)
	s, err := compile(&o)
	if err != nil {
		return nil, err
	}
	return &filter{next: next, selector: s}, nil
}

type filter struct {
	next notification.Sink
	*selector
}

func (f *filter) Notify(ctx context.Context, events []notification.Event) error {
	return deliver(ctx, f.next, events, f.selectEvent)
}
