package types

import "time"

// RetentionRules are the retention rules that the registry has loaded.
type RetentionRules struct {
	// Name is the name of the file, and Text its content.
	Name string `json:"name,omitempty"`
	Text string `json:"text,omitempty"`
	// Rules are the names of the rules, in their order.
	Rules []string `json:"rules"`
	// Details are the rules in their order, for display.
	Details []RetentionRule `json:"details,omitempty"`
}

// RetentionRule is a rule as its file states it.
type RetentionRule struct {
	Name string `json:"name"`
	// Repositories and Tags are patterns. Absent means all.
	Repositories []string `json:"repositories,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	// Untagged reports whether the rule is about untagged manifests instead of tags.
	Untagged bool `json:"untagged,omitempty"`
	// If are the conditions that must hold. Keep is what stays of what the rule covers.
	If   []RetentionCondition `json:"if,omitempty"`
	Keep []RetentionCondition `json:"keep"`
}

// RetentionCondition is a condition of a rule, such as "youngerThan" with the value "30d".
type RetentionCondition struct {
	// Name is the name of the field in the file. "all" and "none" have no values.
	Name   string   `json:"name"`
	Values []string `json:"values,omitempty"`
}

// RetentionResult is what applying or undoing a plan has done, or would do.
type RetentionResult struct {
	// DryRun reports whether nothing was changed.
	DryRun bool `json:"dryRun"`
	// Repositories counts the repositories of which something was to go, or come back.
	Repositories int64 `json:"repositories"`
	// Tags and Manifests count what was removed or restored.
	Tags      int64 `json:"tags"`
	Manifests int64 `json:"manifests"`
	// Already counts the lines with which there was nothing to do.
	Already int64 `json:"already"`
	// Refused counts the lines that were refused, and LeftAlone the repositories that could not be
	// evaluated.
	Refused   int64 `json:"refused"`
	LeftAlone int64 `json:"leftAlone"`
	// Bytes is what the removal frees.
	Bytes int64 `json:"bytes"`
	// Refusals are the lines that were refused, at most the first 1000.
	Refusals []RetentionRefusal `json:"refusals"`
}

// RetentionRefusal is a line of a plan that was refused.
type RetentionRefusal struct {
	Repository string `json:"repository"`
	// Tag is absent for a line about a manifest.
	Tag    string `json:"tag,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Set is when the tag was set, as the plan has it.
	Set time.Time `json:"set,omitzero"`
	// Reason is a word such as "moved", and Detail says what differs.
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}
