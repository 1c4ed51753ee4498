package notification

import (
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Visible is a manifest or tag that clients can see. The method Visible of storage.Store lists them
// for outbox.Reindex, which announces those without an event.
type Visible struct {
	// Repository is the repository.
	Repository string
	// Tag is the tag, or "" for a manifest.
	Tag string
	// Target is the manifest, or the manifest that the tag points at.
	Target ocispec.Descriptor
	// Time is when the manifest or tag was last written, by the clock of the storage. It may be
	// later than the push, because the storage also writes objects to keep them.
	Time time.Time
}
