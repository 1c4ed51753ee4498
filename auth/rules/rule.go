package rules

import (
	"github.com/registrykit/registry/auth"
)

// Effect is what a rule does with the accesses that it applies to.
type Effect string

const (
	// Allow allows them. The zero Effect means Allow.
	Allow Effect = "allow"
	// Deny denies them.
	Deny Effect = "deny"
)

// Catalog is the action of listing the repositories, for [Rule].Actions. The list contains only the
// repositories that the caller may pull from.
const Catalog auth.Action = auth.NameCatalog

// Rule is one rule. It applies to an access if all its fields match; the package comment explains
// them.
type Rule struct {
	// Name appears in what Explain returns, after the place of the rule. Optional.
	Name string
	// Who are the callers that the rule applies to. At least one field must be set.
	Who Who
	// Repositories are patterns of repository names, and not only exceptions.
	Repositories []string
	// Accounts are patterns of the names of users, organisations and robots, and not only
	// exceptions.
	Accounts []string
	// Registry are parts of the registry, such as auth.NameAudit, or "*" for all of them.
	Registry []string
	// Actions are the actions that the rule applies to. At least one is required. auth.Pull,
	// auth.Push, auth.Overwrite and auth.Delete need Repositories. auth.Read needs Accounts or
	// Registry. auth.Manage and auth.All need one of the three. Catalog needs none of them. A field
	// that no action needs is an error.
	Actions []auth.Action
	// Tags are patterns of tags. Default: the rule applies to all tags, and to accesses without
	// one. See "Tags" in the package comment: a rule with Tags and Deny does not stop a pull by
	// digest.
	Tags []string
	// Effect is Allow or Deny. Default: Allow, so a forgotten Effect allows.
	Effect Effect
}

// Who is a set of callers. A caller is in the set if at least one of the fields matches.
type Who struct {
	// Users are names of callers, literally.
	Users []string
	// Groups are names of groups, literally. A caller in one of them matches.
	Groups []string
	// Claims are patterns of the values of auth.Identity.Claims, by key. A map matches if all its
	// patterns do; one matching map suffices. New returns an error for an empty map.
	Claims []map[string]string
	// Anonymous matches all callers without a name.
	Anonymous bool
	// Authenticated matches all callers with a name.
	Authenticated bool
	// Everyone matches all callers.
	Everyone bool
}
