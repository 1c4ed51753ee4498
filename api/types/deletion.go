package types

import "time"

// Deletion says what to delete from a repository: tags, manifests by their digests, or, without both,
// everything. There are at most 200 tags and digests.
type Deletion struct {
	Tags    []string `json:"tags,omitempty"`
	Digests []string `json:"digests,omitempty"`
}

// Refusal is why a delete would be refused.
type Refusal string

// The reasons of a [Refusal].
const (
	// RefusedAccess means that the caller may not delete it.
	RefusedAccess Refusal = "access"
	// RefusedImmutable means that a tag is immutable: the tag itself, or one that points at the manifest
	// or at something in the repository.
	RefusedImmutable Refusal = "immutable"
)

// DeletionPreview is what a delete would remove. Nothing is removed by looking.
type DeletionPreview struct {
	Tags      []TagDeletion      `json:"tags,omitempty"`
	Manifests []ManifestDeletion `json:"manifests,omitempty"`
	// Everything is set if the whole repository would go.
	Everything *RepositoryDeletion `json:"everything,omitempty"`
	// Freed is the number of bytes that the manifests would leave without a use in the repository. They
	// are freed when the history has ended and content was collected, if no other repository uses them.
	// It is absent if the repository has too many manifests to compare, or is not known.
	Freed *int64 `json:"freed,omitempty"`
	// Until is when the history of a delete made now would end. Until then, a restore brings back what
	// was deleted. It is absent if no history is kept, or it is not known.
	Until time.Time `json:"until,omitzero"`
}

// TagDeletion is a tag that would go. Its manifest stays.
type TagDeletion struct {
	Name string `json:"name"`
	// Missing is set if there is no such tag, or the caller may not see it.
	Missing bool `json:"missing,omitempty"`
	// Digest, MediaType and Size are those of the manifest.
	Digest    string `json:"digest,omitempty"`
	MediaType string `json:"mediaType,omitempty"`
	Size      int64  `json:"size,omitempty"`
	// OtherTags are the other tags that point at the manifest, at most 100. MoreTags is set if there are
	// more. Without any, the manifest stays untagged.
	OtherTags []string `json:"otherTags,omitempty"`
	MoreTags  bool     `json:"moreTags,omitempty"`
	// Refused is why the delete would be refused, or "".
	Refused Refusal `json:"refused,omitempty"`
}

// ManifestDeletion is a manifest that would go, with the tags that point at it.
type ManifestDeletion struct {
	Digest string `json:"digest"`
	// Missing is set if there is no such manifest.
	Missing bool `json:"missing,omitempty"`
	// MediaType, Kind, ArtifactType and TotalSize are those of the manifest, see Image.
	MediaType    string `json:"mediaType,omitempty"`
	Kind         string `json:"kind,omitempty"`
	ArtifactType string `json:"artifactType,omitempty"`
	TotalSize    int64  `json:"totalSize,omitempty"`
	// Tags are the tags that would go with it, at most 100. MoreTags is set if there are more.
	Tags     []string `json:"tags,omitempty"`
	MoreTags bool     `json:"moreTags,omitempty"`
	// Children are the manifests that an index names, at most 100. They stay, without the index.
	Children     []Descriptor `json:"children,omitempty"`
	MoreChildren bool         `json:"moreChildren,omitempty"`
	// Referrers are manifests that refer to it, such as signatures, at most 20. They stay, without their
	// subject.
	Referrers     []Descriptor `json:"referrers,omitempty"`
	MoreReferrers bool         `json:"moreReferrers,omitempty"`
	// UsedBy are the digests of indexes that name the manifest, at most 20, and stay: they would be
	// broken. It is complete if DeletionPreview.Freed is there.
	UsedBy []string `json:"usedBy,omitempty"`
	// Refused is why the delete would be refused, or "".
	Refused Refusal `json:"refused,omitempty"`
}

// RepositoryDeletion is what a repository has.
type RepositoryDeletion struct {
	// Tags are the number of tags. MoreTags is set if there are more, because counting ended.
	Tags     int  `json:"tags"`
	MoreTags bool `json:"moreTags,omitempty"`
	// Manifests are the same of manifests. It is absent if it is not known.
	Manifests     *int `json:"manifests,omitempty"`
	MoreManifests bool `json:"moreManifests,omitempty"`
	// Missing is set if the repository has nothing.
	Missing bool `json:"missing,omitempty"`
	// Refused is why the delete would be refused, or "".
	Refused Refusal `json:"refused,omitempty"`
}
