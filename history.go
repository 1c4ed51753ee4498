package registry

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// Restorer is the part of [Backend] that knows what was, and brings it back.
type Restorer interface {
	// History yields what was done to the tags of the repository, to the repository as a whole, and
	// which manifests were deleted: the newest first, as far back as it is kept. That there is
	// none, or no such repository, is not an error.
	//
	// Errors: ErrUnsupported if no history is kept.
	History(ctx context.Context, repo string, opts *HistoryOptions) iter.Seq2[HistoryEntry, error]

	// Restore brings back what is in the history: with a tag, what the tag pointed at before; with
	// a digest, a deleted manifest with the tags that went with it; with neither, all that the last
	// delete of the repository took. A manifest is pushed again, by the same steps as by a client,
	// so that what is visible is whole. Only the first of these moves a tag that exists.
	//
	// Errors: ErrUnsupported if no history is kept; ErrManifestUnknown, or for a repository
	// ErrNameUnknown, if the history has nothing to bring back; ErrManifestBlobUnknown if what a
	// manifest names has been collected since; ErrTagExists.
	Restore(ctx context.Context, repo string, ref reference.Ref, opts *RestoreOptions) (RestoreResult, error)
}

// Change is what an entry of a history is about.
type Change string

// The changes that a history tells of.
const (
	// ChangeTag: a tag was set, or moved from one manifest to another.
	ChangeTag Change = "tag"
	// ChangeUntag: a tag was deleted.
	ChangeUntag Change = "untag"
	// ChangeDelete: a manifest was deleted, with the tags that pointed at it.
	ChangeDelete Change = "delete"
	// ChangeDeleteRepository: the repository was deleted. Its manifests have entries of their own.
	ChangeDeleteRepository Change = "delete-repository"
)

// HistoryEntry tells of one change.
type HistoryEntry struct {
	// ID identifies the entry in its repository, for HistoryOptions.After.
	ID string
	// Time is when it happened, by the clock of the process that did it.
	Time time.Time
	// Change is what happened.
	Change Change
	// By is the name of the identity that did it: "" for an anonymous one, and where the reader may
	// not know.
	By string
	// Tag is the tag of ChangeTag and ChangeUntag.
	Tag string
	// Tags are the tags that went with the manifest of ChangeDelete.
	Tags []string
	// Before is what the tag pointed at, or the manifest that was deleted; nil if there was
	// nothing.
	Before *ocispec.Descriptor
	// After is what the tag points at since; nil if nothing.
	After *ocispec.Descriptor
	// Unconfirmed is set while the change is going on, and stays set if the process died meanwhile,
	// or a push or another delete came between: then it may not have happened, or in part.
	Unconfirmed bool
}

// HistoryOptions are the options of [Restorer].History.
type HistoryOptions struct {
	// Tag leaves out what did not touch the tag, unless "".
	Tag string
	// After leaves out the entry with this ID and those that are newer; "" leaves out none.
	After string
	// PageHint is how many entries the caller expects to take; 0 means that it does not know.
	PageHint int
}

// RestoreOptions are the options of [Restorer].Restore.
type RestoreOptions struct {
	// By is the name of the identity that does it, for the history.
	By string
	// To is the manifest that a tag shall point at: one of the history, or of the repository.
	// Default: what the tag pointed at before its last change.
	To digest.Digest
	// SetTag, unless nil, is asked about each tag before it is set, and may add conditions to it.
	// An error refuses the tag: the restore of that tag fails with it; a manifest is restored
	// without it.
	SetTag func(t *TagPut) error
}

// RestoreResult is what Restore returns.
type RestoreResult struct {
	// Manifests are the manifests that are in the repository again, or still, with the tags that
	// were set.
	Manifests []PutResult
	// Lost are the manifests of a repository that could not be brought back, as what they name has
	// been collected.
	Lost []digest.Digest
}
