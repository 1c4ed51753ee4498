package types

import "time"

// Team is a team of an organisation. Its members have its grants.
type Team struct {
	// ID never changes. A team that is created under the name of a removed one has another ID.
	ID string `json:"id"`
	// Name is unique within the organisation.
	Name string `json:"name"`
	// Description is for display. It has at most 1,024 bytes.
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	// Grants are the permissions of the members in the repositories of the organisation.
	Grants []Grant `json:"grants"`
}

// TeamList is a page of teams.
type TeamList struct {
	Items []Team `json:"items"`
}

// NewTeam is a team to be created.
type NewTeam struct {
	Name        string  `json:"name"`
	Description string  `json:"description,omitempty"`
	Grants      []Grant `json:"grants,omitempty"`
}

// TeamChange is a change of a team. Fields that are nil stay as they are.
type TeamChange struct {
	Description *string  `json:"description,omitempty"`
	Grants      *[]Grant `json:"grants,omitempty"`
}
