package types

import "time"

// Repository is a repository with its settings. Its ETag does not cover Usage and Pulled.
type Repository struct {
	Name string `json:"name"`
	// Exists reports whether the repository has content. A repository without content can have
	// settings.
	Exists bool `json:"exists"`
	// Public reports whether everybody may pull, also without a login.
	Public bool `json:"public"`
	// Visibility is "public" or "private" if it was set for this repository. Otherwise that of the
	// namespace applies.
	Visibility string `json:"visibility,omitempty"`
	// Description has at most 48 KiB. It may be Markdown and is not checked: escape it.
	Description string `json:"description,omitempty"`
	// Usage is what the repository held at the last count, without the repositories below it. It is
	// absent if the repository was not counted yet.
	Usage *Usage `json:"usage,omitempty"`
	// Pulled is when anything in the repository was last pulled. It is absent if no pull is known.
	Pulled time.Time `json:"pulled,omitzero"`
}

// RepositoryChange changes the settings of a repository. Absent fields stay as they are.
type RepositoryChange struct {
	// Visibility is "public", "private", or "" for that of the namespace.
	Visibility *string `json:"visibility,omitempty"`
	// Description replaces the description. It has at most 48 KiB.
	Description *string `json:"description,omitempty"`
}

// RepositorySummary is an element of a RepositoryList.
type RepositorySummary struct {
	Name string `json:"name"`
	// Public reports whether everybody may pull, also without a login.
	Public bool `json:"public"`
	// Summary is the first line of the description with text, at most 256 bytes.
	Summary string `json:"summary,omitempty"`
	// Tags is the number of tags, and Size is the size of the blobs and manifests, each once. They
	// are absent if the registry does not know them.
	Tags *int64 `json:"tags,omitempty"`
	Size *int64 `json:"size,omitempty"`
	// Counted is when Size was counted.
	Counted time.Time `json:"counted,omitzero"`
	// Pushed and Pulled are the last push and pull that the registry knows of.
	Pushed time.Time `json:"pushed,omitzero"`
	Pulled time.Time `json:"pulled,omitzero"`
}

// RepositoryList is a page of the repositories that the caller may pull from.
type RepositoryList struct {
	Items []RepositorySummary `json:"items"`
}
