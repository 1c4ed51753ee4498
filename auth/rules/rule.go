package rules

import (
	"github.com/registrykit/registry/auth"
)

// Effect is what a rule says of the accesses it is about.
type Effect string

const (
	// Allow allows them. It is what the zero Effect means.
	Allow Effect = "allow"
	// Deny refuses them.
	Deny Effect = "deny"
)

// Catalog is the action, in [Rule].Actions, of listing the repositories. The list shows only what
// the caller may pull from.
const Catalog auth.Action = auth.NameCatalog

// Rule is one rule. The package comment says what its parts mean.
type Rule struct {
	// Name is what Explain calls the rule, besides its place. Optional.
	Name string
	// Who is whom the rule is about: at least somebody.
	Who Who
	// Repositories are patterns of repository names. At least one, and not only exceptions; none at
	// all if Catalog is the only action.
	Repositories []string
	// Actions is what the rule is about: auth.Pull, auth.Push, auth.Overwrite, auth.Delete,
	// Catalog, auth.All. At least one.
	Actions []auth.Action
	// Tags are patterns of tags. None: the rule is about every tag, and what is not about tags.
	Tags []string
	// Effect is Allow or Deny. Default: Allow.
	Effect Effect
}

// Who is a set of callers: all that at least one of the fields names.
type Who struct {
	// Users are names of callers. They are no patterns.
	Users []string
	// Groups are groups that a caller may be in. They are no patterns.
	Groups []string
	// Claims are patterns of the values of auth.Identity.Claims, by key. Of one map all must match.
	Claims []map[string]string
	// Anonymous is callers without a name.
	Anonymous bool
	// Authenticated is callers with a name.
	Authenticated bool
	// Everyone is all callers.
	Everyone bool
}
