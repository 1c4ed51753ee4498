package types

// Copy says what to copy from a repository, and where to.
type Copy struct {
	// Tag or Digest is the manifest to copy, with everything that it names.
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
	// To is the repository, and ToTag the tag there. Default of ToTag: no tag is set.
	To    string `json:"to"`
	ToTag string `json:"toTag,omitempty"`
	// Referrers also copies signatures, SBOMs and others that refer to it.
	Referrers bool `json:"referrers,omitempty"`
}

// Copied is the result of a copy.
type Copied struct {
	// Repository and Tag are where the copy is.
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	// Digest, MediaType and Size are those of the manifest.
	Digest    string `json:"digest"`
	MediaType string `json:"mediaType"`
	Size      int64  `json:"size"`
	// Manifests and Blobs are the numbers of all that belongs to it, and Bytes the size of the blobs.
	Manifests int   `json:"manifests"`
	Blobs     int   `json:"blobs"`
	Bytes     int64 `json:"bytes"`
}
