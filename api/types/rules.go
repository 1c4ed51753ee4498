package types

// RuleList are the rules of access in their order.
type RuleList struct {
	Items []Rule `json:"items"`
	// Text is the file of the rules, or absent if the rules are not from YAML.
	Text string `json:"text,omitempty"`
}

// Rule is a rule of access. Package rules explains its fields.
type Rule struct {
	// Name is the rule as explanations call it, such as "rules.yaml:12: releases stay".
	Name string `json:"name"`
	// Effect is "allow" or "deny".
	Effect       string   `json:"effect"`
	Who          RuleWho  `json:"who"`
	Repositories []string `json:"repositories,omitempty"`
	Accounts     []string `json:"accounts,omitempty"`
	Registry     []string `json:"registry,omitempty"`
	Actions      []string `json:"actions"`
	Tags         []string `json:"tags,omitempty"`
}

// RuleWho are the callers that a rule applies to: those that at least one member describes.
type RuleWho struct {
	Users         []string            `json:"users,omitempty"`
	Groups        []string            `json:"groups,omitempty"`
	Claims        []map[string]string `json:"claims,omitempty"`
	Anonymous     bool                `json:"anonymous,omitempty"`
	Authenticated bool                `json:"authenticated,omitempty"`
	Everyone      bool                `json:"everyone,omitempty"`
}

// ExplainRequest asks what a caller may do, and why. Without Account, Name and Anonymous, it is
// about the caller of the request. Other callers need the permission to read the rules.
type ExplainRequest struct {
	// Account is the name of a user or robot.
	Account string `json:"account,omitempty"`
	// Name and Groups describe a caller without an account, such as a CI job.
	Name   string   `json:"name,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Anonymous asks about callers without a login.
	Anonymous bool `json:"anonymous,omitempty"`
	// Accesses are the permissions, at most 100.
	Accesses []Access `json:"accesses"`
}

// Access is a permission.
type Access struct {
	// Type is "repository", "registry" or "account".
	Type string `json:"type"`
	// Name is the name of the repository or account, or the part of the registry.
	Name string `json:"name"`
	// Action is "pull", "push", "overwrite", "delete", "manage", "read" or "*".
	Action string `json:"action"`
	// Tag is the tag of the action on a repository, or absent.
	Tag string `json:"tag,omitempty"`
}

// Explanation is what a caller may do, and why.
type Explanation struct {
	// Name is the name of the caller, or absent for callers without a login.
	Name string `json:"name,omitempty"`
	// Account is set if the caller has an account.
	Account bool `json:"account"`
	// Groups are the groups of the caller.
	Groups []string `json:"groups"`
	// Allowed reports whether all accesses are allowed.
	Allowed bool `json:"allowed"`
	// Accesses has a decision for each access of the request, in the same order.
	Accesses []AccessDecision `json:"accesses"`
}

// AccessDecision is the decision about one access.
type AccessDecision struct {
	Access  Access `json:"access"`
	Allowed bool   `json:"allowed"`
	// Rule is the rule that decided. It is absent if nothing allows the access.
	Rule string `json:"rule,omitempty"`
}
