package types

import "time"

// User is a user.
type User struct {
	// ID never changes.
	ID string `json:"id"`
	// Name is the current name. It is also that of the namespace of the user.
	Name string `json:"name"`
	// FormerNames are earlier names that still belong to the user.
	FormerNames []string `json:"formerNames,omitempty"`
	// FullName and Email are for display, and are not verified.
	FullName string `json:"fullName,omitempty"`
	Email    string `json:"email,omitempty"`
	// Visibility is "private" or "public". It applies to repositories of the user that have none of their own.
	Visibility string    `json:"visibility"`
	Created    time.Time `json:"created"`
	// Disabled is set while the user is disabled.
	Disabled *Mark `json:"disabled,omitempty"`
}

// Mark records who disabled an account, when, and why.
type Mark struct {
	// By is the name of an account, or "" for the program itself.
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// UserList is a page of users.
type UserList struct {
	Items []User `json:"items"`
}

// NewUser is a user to be created.
type NewUser struct {
	Name string `json:"name"`
	// Password is the password. Without one, the user can log in only with tokens or through a provider.
	Password   string `json:"password,omitempty"`
	FullName   string `json:"fullName,omitempty"`
	Email      string `json:"email,omitempty"`
	Visibility string `json:"visibility,omitempty"`
}

// ProfileChange is a change of a user or organisation. Fields that are nil stay as they are.
type ProfileChange struct {
	FullName   *string `json:"fullName,omitempty"`
	Email      *string `json:"email,omitempty"`
	Visibility *string `json:"visibility,omitempty"`
}

// Name is the body of a rename, and of the release of a former name.
type Name struct {
	Name string `json:"name"`
}

// Password is a new password that an admin sets.
type Password struct {
	Password string `json:"password"`
}

// Membership is the membership of a user in an organisation.
type Membership struct {
	// Organisation is the name of the organisation.
	Organisation string `json:"organisation"`
	Owner        bool   `json:"owner"`
	// Teams are the names of the teams that the user is in, sorted.
	Teams []string  `json:"teams"`
	Since time.Time `json:"since"`
}

// MembershipList is a page of memberships.
type MembershipList struct {
	Items []Membership `json:"items"`
}
