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
}

// TagList is a page of the tags that the caller may pull.
type TagList struct {
	Items []Tag `json:"items"`
}

// TagPut points a tag at a manifest of the same repository.
type TagPut struct {
	Digest string `json:"digest"`
}
