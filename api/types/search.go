package types

import "time"

// SearchResult is a repository, tag, image or account that matches a search. Callers with push access
// can write anything into an image, so escape every text.
type SearchResult struct {
	// Kind is "repository", "tag", "image", "user" or "organisation".
	Kind string `json:"kind"`
	// Name is the name of a repository or account, the reference REPOSITORY:TAG of a tag, or the
	// reference REPOSITORY@DIGEST of an image.
	Name string `json:"name"`
	// Summary is the first line of the description of a repository with text, or the full name of
	// an account. It has at most 256 bytes.
	Summary string `json:"summary,omitempty"`
	// Repository is the repository of a tag or image. Tag is the tag, or one of the tags of the
	// image. Digest is the digest of the manifest.
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
	// ArtifactType is the type of the manifest that the referrers API reports. For an index, it is
	// the media type.
	ArtifactType string `json:"artifactType,omitempty"`
	// Platforms are the platforms of an image or index, such as "linux/arm64/v8". There are at most
	// 16.
	Platforms []string `json:"platforms,omitempty"`
	// Pushed is the last push to a repository or of a tag or image, as far as it is known.
	Pushed time.Time `json:"pushed,omitzero"`
	// Matched are the parts of the result that contain a word of the query.
	Matched []SearchMatch `json:"matched,omitempty"`
}

// SearchMatch is a part of a SearchResult that contains a word of the query.
type SearchMatch struct {
	// Field is "name", "description", "repository", "tag", "digest", "type", "platform" or "label".
	// A label is a label of the configuration or an annotation of the manifest.
	Field string `json:"field"`
	// Text is the part, at most 256 bytes of it. That of a label is KEY=VALUE.
	Text string `json:"text"`
}

// SearchList are the results of a search, the best first. They contain only what the caller may
// see.
type SearchList struct {
	Items []SearchResult `json:"items"`
	// More reports whether there are more results than were asked for.
	More bool `json:"more,omitempty"`
	// MoreOf are the kinds of which there are more results.
	MoreOf []string `json:"moreOf,omitempty"`
	// Built is when the names were read that the search looks at.
	Built time.Time `json:"built"`
	// Unread is the number of repositories whose tags and images were not read yet. It is shown
	// only to callers with read access to all usage.
	Unread int64 `json:"unread,omitempty"`
}

// Namespace is a prefix of repository names: a user, an organisation, or a folder of it.
type Namespace struct {
	// Prefix consists of whole components of names, such as "acme" or "acme/shop".
	Prefix string `json:"prefix"`
	// Repository reports whether there is also a repository of this name that the caller may pull
	// from.
	Repository bool `json:"repository"`
	// Repositories is the number of repositories of this name and below it that the caller may pull
	// from.
	Repositories int64 `json:"repositories"`
	// Pushed is the last push to one of them, as far as it is known.
	Pushed time.Time `json:"pushed,omitzero"`
}

// NamespaceList is a page of the prefixes directly below a prefix.
type NamespaceList struct {
	Items []Namespace `json:"items"`
	// Repositories is the number of repositories with the prefix that the caller may pull from.
	Repositories int64 `json:"repositories"`
	// Built is when the names were read.
	Built time.Time `json:"built"`
}

// Sharing says which images begin with the same layers as an image. It contains only repositories
// that the caller may pull from.
type Sharing struct {
	// Items are the images with the most lowest layers in common, at most one for each repository.
	Items []SharedImage `json:"items"`
	// More reports whether there are more repositories than were asked for.
	More bool `json:"more,omitempty"`
	// Layers are the layers of the image, from the lowest up, at most 256.
	Layers []SharedLayer `json:"layers"`
	// Built is when the index was built that the answer is from.
	Built time.Time `json:"built"`
}

// SharedImage is an image that begins with the same layers as another one.
type SharedImage struct {
	Repository string `json:"repository"`
	// Tag is one of its tags. It is absent if it has none.
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest"`
	// Layers is the number of layers that both images have at the bottom.
	Layers int64 `json:"layers"`
}

// SharedLayer is a layer, and the number of other repositories that have it.
type SharedLayer struct {
	Digest       string `json:"digest"`
	Repositories int64  `json:"repositories"`
}
