package types

import "time"

// Tag is a tag of a repository. Its ETag is its digest in quotes.
type Tag struct {
	Name string `json:"name"`
	// Digest, MediaType and Size are those of the manifest that the tag points at.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	// Set is when a push or restore last set the tag. It is absent if the registry does not know
	// it.
	Set time.Time `json:"set,omitzero"`
	// Pulled is when the tag, or the manifest that it points at, was last pulled. It is absent if no
	// pull is known.
	Pulled time.Time `json:"pulled,omitzero"`
	// Details are the facts of the image. They are absent unless the request asks for them.
	Details *TagDetails `json:"details,omitempty"`
}

// TagDetails are the facts of the image that a tag points at. Callers with push access can write
// anything into it, so escape every text.
type TagDetails struct {
	// Kind is "image", "index" or "artifact". It is absent if the manifest cannot be read.
	Kind string `json:"kind,omitempty"`
	// ArtifactType is the type that the referrers API reports.
	ArtifactType string `json:"artifactType,omitempty"`
	// Platforms are those of the image, or of the images of an index. At most 32 are listed.
	Platforms []Platform `json:"platforms,omitempty"`
	// TotalSize is the size of the manifests, configurations and layers, each blob once. For an
	// index, it is the size of all its images.
	TotalSize int64 `json:"totalSize"`
	// Smallest and Largest are the sizes of the smallest and the largest image of an index.
	Smallest int64 `json:"smallest,omitempty"`
	Largest  int64 `json:"largest,omitempty"`
	// Partial is set if some images of an index are missing from the sizes, because they are not in
	// the repository or there are too many.
	Partial bool `json:"partial,omitempty"`
	// By is the name of the caller that set the tag. Only callers with push access see it. It is
	// absent if the history does not know it.
	By string `json:"by,omitempty"`
	// Immutable is set if the tag cannot be moved to another manifest: nobody may, or the caller may
	// push the tag only if it does not exist.
	Immutable bool `json:"immutable,omitempty"`
	// Attached are the artifacts that refer to the image, such as signatures, by type. Those of
	// earlier versions of cosign, which have a tag, are among them.
	Attached []Attached `json:"attached,omitempty"`
}

// Attached is a number of artifacts of one type that refer to an image.
type Attached struct {
	ArtifactType string `json:"artifactType"`
	Count        int    `json:"count"`
}

// TagList is a page of the tags that the caller may pull.
type TagList struct {
	Items []Tag `json:"items"`
}

// TagPut points a tag at a manifest of the same repository.
type TagPut struct {
	Digest string `json:"digest"`
}
