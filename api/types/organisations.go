package types

import "time"

// Organisation is an organisation.
type Organisation struct {
	// ID never changes.
	ID string `json:"id"`
	// Name is the current name. It is also that of the namespace of the organisation.
	Name string `json:"name"`
	// FormerNames are earlier names that still belong to the organisation.
	FormerNames []string `json:"formerNames,omitempty"`
	// FullName and Email are for display, and are not verified.
	FullName string `json:"fullName,omitempty"`
	Email    string `json:"email,omitempty"`
	// Visibility is "private" or "public". It applies to repositories of the organisation that have none of their own.
	Visibility string    `json:"visibility"`
	Created    time.Time `json:"created"`
	// Disabled is set while the organisation is disabled.
	Disabled *Mark `json:"disabled,omitempty"`
}

// OrganisationList is a page of organisations.
type OrganisationList struct {
	Items []Organisation `json:"items"`
}

// NewOrganisation is an organisation to be created.
type NewOrganisation struct {
	Name string `json:"name"`
	// Owner is the name of the first owner. Default: the caller. Only admins may name another user.
	Owner      string `json:"owner,omitempty"`
	FullName   string `json:"fullName,omitempty"`
	Email      string `json:"email,omitempty"`
	Visibility string `json:"visibility,omitempty"`
}

// Member is a member of an organisation.
type Member struct {
	// User is the name of the user.
	User string `json:"user"`
	// Owner reports whether the user is an owner of the organisation.
	Owner bool `json:"owner"`
	// Teams are the names of the teams that the user is in, sorted.
	Teams []string `json:"teams"`
	// Since is the time at which the user joined.
	Since time.Time `json:"since"`
}

// MemberList is a page of members.
type MemberList struct {
	Items []Member `json:"items"`
}

// OwnerList is the list of the owners of an organisation.
type OwnerList struct {
	// Items are the names of users, sorted.
	Items []string `json:"items"`
}
