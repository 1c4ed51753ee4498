package types

import "time"

// Loss is content that a repository should have and does not serve, because it is damaged or gone.
// It is mended by pushing it again.
type Loss struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	// Manifest reports whether the content is a manifest. Otherwise it is a blob.
	Manifest bool `json:"manifest"`
	// Size and MediaType are absent if they are not known.
	Size      int64  `json:"size,omitempty"`
	MediaType string `json:"mediaType,omitempty"`
	// Tags are the tags that pointed at the manifest, with the times at which they were set, as far as
	// known.
	Tags []LostTag `json:"tags,omitempty"`
	// Reason is the damage that was found, such as "corrupt-blob".
	Reason string `json:"reason"`
}

// LostTag is a tag of a lost manifest.
type LostTag struct {
	Name string    `json:"name"`
	Set  time.Time `json:"set,omitzero"`
}

// LossList is a page of the list of losses, by repository and digest.
type LossList struct {
	Items []Loss `json:"items"`
}
