package types

import "time"

// Change is a change of a tag, a manifest or a repository.
type Change struct {
	Time time.Time `json:"time"`
	// Change is "tag", "untag", "delete" or "delete-repository".
	Change string `json:"change"`
	// By is the name of the caller that made the change. Only callers with push access see it.
	By string `json:"by,omitempty"`
	// Tag is the tag of "tag" and "untag". Tags are those that "delete" has removed together with
	// the manifest.
	Tag  string   `json:"tag,omitempty"`
	Tags []string `json:"tags,omitempty"`
	// Before and After are the manifest before and after the change.
	Before *Descriptor `json:"before,omitempty"`
	After  *Descriptor `json:"after,omitempty"`
	// Unconfirmed is set for a change that is in progress or was interrupted. It may have happened
	// or not.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
}

// ChangeList is a page of a history, the newest change first.
type ChangeList struct {
	Items []Change `json:"items"`
}

// Restore says what to bring back from the history: a tag, a manifest by its digest, or, without
// both, the repository.
type Restore struct {
	// Tag points at its previous manifest again, or at To.
	Tag string `json:"tag,omitempty"`
	// To is the digest of the manifest for Tag. Default: the manifest before the last change of the
	// tag.
	To string `json:"to,omitempty"`
	// Digest is the manifest that returns, with the tags that were deleted with it.
	Digest string `json:"digest,omitempty"`
}

// Restored is the result of a restore.
type Restored struct {
	// Manifests are the manifests that the repository has again, or still has.
	Manifests []RestoredManifest `json:"manifests"`
	// Lost are the digests of manifests that could not be brought back, because their content was
	// collected.
	Lost []string `json:"lost,omitempty"`
}

// RestoredManifest is a manifest of a Restored.
type RestoredManifest struct {
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	// Tags are the tags that point at it again.
	Tags []string `json:"tags,omitempty"`
}
