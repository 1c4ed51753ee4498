package accounts

import (
	"time"
)

// ID identifies an account permanently: a rename does not change it, and no other account ever gets it. It has
// 16 characters, lower-case letters and the digits 2 to 7.
type ID string

// Kind is the kind of an account.
type Kind string

// The kinds of accounts.
const (
	// User is a person. The repositories NAME and NAME/** belong to the user called NAME.
	User Kind = "user"
	// Organisation owns the repositories NAME and NAME/**, like a user, and has owners, members and
	// teams. Nobody can log in as an organisation.
	Organisation Kind = "organisation"
	// Robot is an account for a program. It belongs to the user or organisation in whose repositories it
	// works. It logs in as NAME+ROBOT with a secret, and has no password.
	Robot Kind = "robot"
)

// Account is a user, an organisation or a robot.
type Account struct {
	ID   ID   `json:"id"`
	Kind Kind `json:"kind"`
	// Name is the current name, such as "ann", "acme" or, for a robot, "acme+deploy".
	Name string `json:"name"`
	// Former are the earlier names of a user or organisation, which still belong to it; see
	// [Accounts.Rename].
	Former []string `json:"former,omitempty"`
	// Namespace is the user or organisation that a robot belongs to. It is "" for all others.
	Namespace ID `json:"namespace,omitempty"`
	// FullName and Email are for display. They are not verified and give no permissions.
	FullName string `json:"fullName,omitempty"`
	Email    string `json:"email,omitempty"`
	// Created is the time at which the account was created.
	Created time.Time `json:"created"`
	// Disabled is not nil while the account is disabled, and Removed is not nil after it was removed. Nobody
	// can log in as a disabled or removed account, and its secrets and tokens give no permissions. Others
	// keep their access to the repositories of a disabled namespace.
	Disabled *Mark `json:"disabled,omitempty"`
	Removed  *Mark `json:"removed,omitempty"`
	// Visibility applies to the repositories of the namespace that have none of their own. Default: Private.
	Visibility Visibility `json:"visibility,omitempty"`
	// Owners are the users who own an organisation. An organisation always has at least one.
	Owners []ID `json:"owners,omitempty"`
	// Grants are the permissions of a robot in its namespace.
	Grants []Grant `json:"grants,omitempty"`
}

// Active reports whether the account is neither disabled nor removed.
func (a *Account) Active() bool { return a.Disabled == nil && a.Removed == nil }

// Mark records who disabled or removed an account, when, and why.
type Mark struct {
	// By is the name of the actor, or "" for the program itself.
	By     string    `json:"by,omitempty"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
}

// Visibility decides whether callers without a role may pull from a repository.
type Visibility string

// The visibilities.
const (
	// Private repositories can be pulled only by callers with a role.
	Private Visibility = "private"
	// Public repositories can be pulled by everybody, also without a login.
	Public Visibility = "public"
)

// Team is a group of members of an organisation. Each member has the grants of the team.
type Team struct {
	// ID is unique. A team that is created under the name of a removed team has another ID, and none of the
	// members of the removed team.
	ID ID `json:"id"`
	// Name is unique within the organisation. It has the syntax of the names of users.
	Name string `json:"name"`
	// Description is for display. It has at most 1,024 bytes.
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
	// Grants are the permissions of the members in the organisation.
	Grants []Grant `json:"grants,omitempty"`
}

// Member is the membership of a user in an organisation.
type Member struct {
	Organisation ID `json:"organisation"`
	User         ID `json:"user"`
	// Owner reports whether the user is one of Account.Owners of the organisation.
	Owner bool `json:"owner,omitempty"`
	// Teams are the names of the teams that the user is in, sorted.
	Teams []string `json:"teams,omitempty"`
	// Since is the time at which the user joined.
	Since time.Time `json:"since"`
}

// Repository is the settings of a repository. The repository need not exist.
type Repository struct {
	Name string `json:"name"`
	// Visibility is "" if none was set. The visibility of the namespace applies then.
	Visibility Visibility `json:"visibility,omitempty"`
	// Description is for display. It has at most 48 KiB.
	Description string `json:"description,omitempty"`
}
