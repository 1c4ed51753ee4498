package types

import "time"

// Deleted is a delete in the history of a repository. The manifests that went with their repository are
// not listed one by one.
type Deleted struct {
	Repository string    `json:"repository"`
	Time       time.Time `json:"time"`
	// Change is "untag" for a tag, "delete" for a manifest with its tags, or "delete-repository".
	Change string `json:"change"`
	// By is the name of the caller that deleted it. Only callers with push access see it.
	By string `json:"by,omitempty"`
	// Tag is the tag of "untag". Tags are those that "delete" has removed together with the manifest.
	Tag  string   `json:"tag,omitempty"`
	Tags []string `json:"tags,omitempty"`
	// Manifest is the manifest that was deleted, or that the tag pointed at.
	Manifest *Descriptor `json:"manifest,omitempty"`
	// Until is when the history ends that can restore it.
	Until time.Time `json:"until"`
	// Exists is set if the tag, the manifest or the repository exists again. Now is the digest of the
	// manifest that such a tag points at.
	Exists bool   `json:"exists,omitempty"`
	Now    string `json:"now,omitempty"`
	// Restorable is set if the caller may restore it. A restore can still find that content was
	// collected.
	Restorable bool `json:"restorable,omitempty"`
	// Unconfirmed is set for a delete that is in progress or was interrupted. It may have happened or
	// not.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
}

// DeletedList is a page of deletes: by repository, and the newest first in each.
type DeletedList struct {
	Items []Deleted `json:"items"`
}
