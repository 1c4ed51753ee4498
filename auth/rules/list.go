package rules

import (
	"context"
	"slices"
)

// Listed is a rule in a list for people.
type Listed struct {
	// Text is the rule as Explain calls it, such as "rules.yaml:12: releases stay".
	Text string
	// Rule is the rule. Its slices must not be changed.
	Rule Rule
}

// List returns the rules in force, in their order, and the YAML that they are from. text is "" for
// rules of [New].
func (r *Rules) List(ctx context.Context) (list []Listed, text string) {
	t := r.table(ctx)
	return slices.Clone(t.listed), t.content
}
