package accounts

import "github.com/registrykit/registry/auth"

// Subject returns the ID of the account of an identity, which stays the same when the account is renamed. For an
// identity without an account, it returns the name. It is for token.RefreshOptions.Subject.
func Subject(identity auth.Identity) string {
	if id, ok := identity.Claims[AccountClaim].(string); ok {
		return id
	}
	return identity.Name
}
