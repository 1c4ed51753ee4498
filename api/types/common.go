package types

// Problem is the body of an error response: Problem Details (RFC 9457).
type Problem struct {
	// Type is always "about:blank".
	Type string `json:"type"`
	// Title is the standard text of Status.
	Title string `json:"title"`
	// Status is the HTTP status.
	Status int `json:"status"`
	// Code is a word in capital letters for programs, such as "NOT_FOUND".
	Code string `json:"code"`
	// Detail is a text for people.
	Detail string `json:"detail,omitempty"`
}

// PartList is the list of the parts that the API has.
type PartList struct {
	Items []string `json:"items"`
}
