package types

import "time"

// Grant is a role in the repositories that match a pattern.
type Grant struct {
	// Repositories is a pattern such as "**" or "app/*". It is relative to the namespace for robots and teams, and
	// matches whole names for tokens.
	Repositories string `json:"repositories"`
	// Role is "read", "write", "maintain" or "admin".
	Role string `json:"role"`
}

// Token is a personal access token of a user or a secret of a robot, without its value.
type Token struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
	// Expires is the time at which the token becomes invalid. The zero time means never.
	Expires time.Time `json:"expires,omitzero"`
	// ReplacedBy is the ID of the token that a rotation has created, or "".
	ReplacedBy string `json:"replacedBy,omitempty"`
	// Scopes narrow the permissions of the account. Without scopes, the token has all of them.
	Scopes []Grant `json:"scopes,omitempty"`
	// LastUsed is approximate. The zero time means that no use is known. It does not change the ETag.
	LastUsed time.Time `json:"lastUsed,omitzero"`
}

// TokenList is the list of the tokens of an account.
type TokenList struct {
	Items []Token `json:"items"`
}

// NewToken is a token to be created.
type NewToken struct {
	// Name has 1 to 100 characters.
	Name string `json:"name"`
	// Expires is the time at which the token becomes invalid. The zero time means never.
	Expires time.Time `json:"expires,omitzero"`
	// Scopes narrow the permissions of the account. nil means all permissions of the account.
	Scopes []Grant `json:"scopes,omitempty"`
}

// CreatedToken is a new token with its value, which no later response contains.
type CreatedToken struct {
	Token Token  `json:"token"`
	Value string `json:"value"`
}

// Rotation is the body of a rotation.
type Rotation struct {
	// Grace is the time during which the old token remains valid, in seconds. Default: 0.
	Grace int `json:"grace,omitempty"`
}
