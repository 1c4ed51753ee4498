package types

// Caller is the sender of a request.
type Caller struct {
	Name string `json:"name"`
	// Account is the ID of the account, and Kind is "user" or "robot". Both are "" for a caller without an account.
	Account string `json:"account,omitempty"`
	Kind    string `json:"kind,omitempty"`
	// Groups are organisations, teams as "ORGANISATION/TEAM", and groups of a provider.
	Groups []string `json:"groups"`
	// Admin reports whether the caller may manage all accounts with these credentials.
	Admin bool `json:"admin"`
	// CreatesOrganisations reports whether the caller may create organisations.
	CreatesOrganisations bool `json:"createsOrganisations,omitempty"`
	// Token is the ID of the token of the request, or "".
	Token string `json:"token,omitempty"`
}

// PasswordChange is a change of the caller's own password.
type PasswordChange struct {
	Old string `json:"old"`
	New string `json:"new"`
}

// PasswordRules are the rules for new passwords that a form can show. A password that is easy to guess is refused, too.
type PasswordRules struct {
	// MinLength is the minimum length of a password, in characters.
	MinLength int `json:"minLength"`
}

// SignUp is an account that its future user creates.
type SignUp struct {
	Name     string `json:"name"`
	Password string `json:"password"`
	FullName string `json:"fullName,omitempty"`
	Email    string `json:"email,omitempty"`
}

// Setup creates the first admin.
type Setup struct {
	// Token is the one-time token that the registry has shown to its operator.
	Token    string `json:"token"`
	Name     string `json:"name"`
	Password string `json:"password"`
}

// SetupState reports whether the first admin can be created.
type SetupState struct {
	// Open is true until there is an admin.
	Open bool `json:"open"`
}
