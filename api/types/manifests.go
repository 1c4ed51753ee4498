package types

import "time"

// ManifestSummary is a manifest of a repository, as an element of a list. Callers with push access
// can write anything into it, so escape every text.
type ManifestSummary struct {
	// Digest, MediaType and Size are those of the manifest.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	// Kind is "image", "index" or "artifact".
	Kind string `json:"kind"`
	// ArtifactType is the type that the referrers API reports.
	ArtifactType string `json:"artifactType,omitempty"`
	// Subject is the digest of the manifest that this one refers to.
	Subject string `json:"subject,omitempty"`
	// TotalSize is the size of the manifest, its configuration and its layers, each blob once. For
	// an index, it is the size of the index itself.
	TotalSize int64 `json:"totalSize"`
	// Platforms are those of the image, or of the images of an index. At most 32 are listed.
	Platforms []Platform `json:"platforms,omitempty"`
	// Pushed is when the manifest was last pushed.
	Pushed time.Time `json:"pushed,omitzero"`
	// Pulled is when the manifest was last pulled. It is absent if no pull is known.
	Pulled time.Time `json:"pulled,omitzero"`
	// Tags are tags that point at the manifest and that the caller may pull. At most 10 are listed.
	Tags []string `json:"tags,omitempty"`
}

// ManifestList is a page of the manifests of a repository.
type ManifestList struct {
	Items []ManifestSummary `json:"items"`
}
