package registry

import (
	"context"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// Restorer is the part of [Backend] that lists past changes and undoes them.
type Restorer interface {
	// History yields the changes to the tags of the repository and to the repository as a whole,
	// and the manifests that were deleted. The newest change comes first, and the list goes back as
	// far as the history is kept. A missing repository or an empty history is not an error.
	//
	// Errors: ErrUnsupported if no history is kept.
	History(ctx context.Context, repo string, opts *HistoryOptions) iter.Seq2[HistoryEntry, error]

	// Restore brings back content from the history. With a tag, the tag points at its previous
	// manifest again. With a digest, a deleted manifest returns, with the tags that were deleted
	// with it. With an empty ref, everything that the last delete of the repository removed
	// returns. Only a restore of a tag moves a tag that exists.
	//
	// A manifest is pushed again by the same steps as by a client, so that everything visible is
	// complete.
	//
	// Errors: ErrUnsupported if no history is kept; ErrManifestUnknown, or ErrNameUnknown for a
	// repository, if the history has nothing to bring back; ErrManifestBlobUnknown if content that
	// a manifest names has been collected; ErrTagExists.
	Restore(ctx context.Context, repo string, ref reference.Ref, opts *RestoreOptions) (RestoreResult, error)
}

// Change is the kind of change that a [HistoryEntry] records.
type Change string

// The kinds of change that a history records.
const (
	// ChangeTag means that a tag was set, or moved from one manifest to another.
	ChangeTag Change = "tag"
	// ChangeUntag means that a tag was deleted.
	ChangeUntag Change = "untag"
	// ChangeDelete means that a manifest was deleted, with the tags that pointed at it.
	ChangeDelete Change = "delete"
	// ChangeDeleteRepository means that the repository was deleted. Its manifests have entries of
	// their own.
	ChangeDeleteRepository Change = "delete-repository"
)

// HistoryEntry is one change in the history of a repository.
type HistoryEntry struct {
	// ID identifies the entry in its repository, for HistoryOptions.After.
	ID string
	// Time is the time of the change, by the clock of the process that made it.
	Time time.Time
	// Change is the kind of change.
	Change Change
	// By is the name of the identity that made the change. It is "" for an anonymous identity, and
	// for readers without push access.
	By string
	// Tag is the tag of ChangeTag and ChangeUntag.
	Tag string
	// Tags are the tags that ChangeDelete removed together with the manifest.
	Tags []string
	// Before is the manifest that the tag pointed at, or that was deleted. It is nil if there was
	// none.
	Before *ocispec.Descriptor
	// After is the manifest that the tag points at after the change, or nil.
	After *ocispec.Descriptor
	// Of is the ID of the entry of the delete of the repository that has removed the manifest of a
	// ChangeDelete. It is "" for a manifest that was deleted by itself, and for other changes.
	Of string
	// Unconfirmed is set while the change is in progress. It stays set if the process ended before
	// it was complete, or another push or delete interfered. Such a change may have happened
	// completely, in part, or not at all.
	Unconfirmed bool
}

// HistoryOptions are the options of [Restorer].History.
type HistoryOptions struct {
	// Tag selects the changes of one tag. Default: all changes.
	Tag string
	// Changes selects the changes of these kinds. Those of other kinds cost less. Default: all kinds.
	Changes []Change
	// After skips the entry with this ID and all newer entries. Default: no entry is skipped.
	After string
	// PageHint is the number of entries that the caller expects to take. Zero means unknown.
	PageHint int
	// Scan is called for each entry that is examined, the newest first, before it is read. It is also
	// called for entries of other kinds than Changes. If Scan returns false, the iteration ends before
	// that entry, without an error. A server limits the cost of a page with it. A Backend may ignore
	// it. Default: no limit.
	Scan func(id string) bool
}

// RestoreOptions are the options of [Restorer].Restore.
type RestoreOptions struct {
	// By is the name of the identity that restores, for the history. Registry.Backend sets it.
	By string
	// To is the manifest that the tag is to point at: one from the history, or one in the
	// repository. Default: the manifest before the last change of the tag.
	To digest.Digest
	// SetTag is called for each tag before it is set, and may add conditions to t. An error refuses
	// the tag: a restore of that tag fails with it, and a manifest is restored without the tag.
	// Default: every tag is set.
	SetTag func(t *TagPut) error
	// Admit is called for each manifest before it comes back, with the blobs that it names, whether or
	// not the repository has them. It may be called again for the same manifest. An error refuses the
	// manifest and ends the restore. Quotas use it. A Backend may ignore it. Default: every manifest is
	// admitted.
	Admit func(ctx context.Context, manifest ocispec.Descriptor, blobs []ocispec.Descriptor) error
}

// RestoreResult is the result of Restore.
type RestoreResult struct {
	// Manifests are the manifests that the repository has again, or still has, each with the tags
	// that were set. The first is the requested one. An index that is restored brings back
	// the manifests that it names; they follow, without tags. After an error, Manifests has what
	// was restored before.
	Manifests []PutResult
	// Lost are the manifests of a repository that could not be brought back, because content that
	// they name has been collected.
	Lost []digest.Digest
}
