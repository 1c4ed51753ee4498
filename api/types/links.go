package types

// Link lets a person at an OpenID provider sign in as a user.
type Link struct {
	// ID identifies the link in paths. It depends on the issuer and the subject only.
	ID string `json:"id"`
	// Issuer is the claim iss of the tokens of the provider, and Subject is their claim sub.
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// LinkList is the list of the links of a user.
type LinkList struct {
	Items []Link `json:"items"`
}
