package types

import "time"

// SearchResult is a repository or account that matches a search.
type SearchResult struct {
	// Kind is "repository", "user" or "organisation".
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Summary is the first line of the description of a repository with text, or the full name of
	// an account. It has at most 256 bytes.
	Summary string `json:"summary,omitempty"`
}

// SearchList are the results of a search, the best first. They contain only what the caller may
// see.
type SearchList struct {
	Items []SearchResult `json:"items"`
	// More reports whether there are more results than were asked for.
	More bool `json:"more,omitempty"`
	// Built is when the names were read that the search looks at.
	Built time.Time `json:"built"`
}
