package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/reload"
)

// Rules is a list of rules, as an [auth.Authorizer]. [Load], [Parse] and [New] make one; the zero
// Rules is not usable. It is safe for concurrent use.
type Rules struct {
	fixed *table
	file  *reload.File[*table] // nil: they do not change
}

var (
	_ auth.Authorizer = (*Rules)(nil)
	_ auth.Explainer  = (*Rules)(nil)
	_ auth.Prefixer   = (*Rules)(nil)
	_ auth.Scoper     = (*Rules)(nil)
)

// New compiles rules. An empty list denies everything. Explain calls a rule by its index: "rule 0:
// NAME".
//
// New returns an error for the first invalid rule. The error contains its index.
func New(rules []Rule) (*Rules, error) {
	places := make([]place, len(rules))
	for i := range rules {
		name := fmt.Sprintf("rule %d", i)
		places[i] = place{rule: name, at: func(string, int) string { return name }}
	}
	t, err := newTable(rules, places)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return fromTable(t), nil
}

func fromTable(t *table) *Rules { return &Rules{fixed: t} }

// table returns the current rules.
func (r *Rules) table(ctx context.Context) *table {
	if r.file != nil {
		return r.file.Get(ctx)
	}
	return r.fixed
}

// Authorize implements [auth.Authorizer].
//
// Errors: auth.ErrDenied.
func (r *Rules) Authorize(ctx context.Context, identity auth.Identity, accesses []auth.Access) error {
	t := r.table(ctx)
	var c caller
	t.prepare(&c, identity)
	for i := range accesses {
		if d := t.decide(&c, &accesses[i], exactTag); d == nil || d.deny {
			return auth.ErrDenied
		}
	}
	return nil
}

// Explain implements [auth.Explainer]. If an access is denied, it returns the rule that denied the
// first one, or "" if no rule applies to it. If all are allowed, it returns the rules that allowed
// them, such as "rules.yaml:12: the team pushes".
//
// Errors: auth.ErrDenied.
func (r *Rules) Explain(ctx context.Context, identity auth.Identity, accesses []auth.Access) (string, error) {
	return r.explain(ctx, identity, accesses, exactTag)
}

// Scope implements [auth.Scoper], for the token endpoint. It decides as Explain does, but also
// allows an access without a tag if some rule allows the access for some tags. Another rule may
// deny all of these tags: Authorize finds that out when the token is used.
//
// Errors: auth.ErrDenied.
func (r *Rules) Scope(ctx context.Context, identity auth.Identity, accesses []auth.Access) (string, error) {
	return r.explain(ctx, identity, accesses, anyTag)
}

func (r *Rules) explain(ctx context.Context, identity auth.Identity, accesses []auth.Access,
	mode tagMode) (string, error) {
	t := r.table(ctx)
	var c caller
	t.prepare(&c, identity)
	var few [4]*rule
	used := few[:0]
	for i := range accesses {
		d := t.decide(&c, &accesses[i], mode)
		if d == nil {
			return "", auth.ErrDenied
		}
		if d.deny {
			return d.text, auth.ErrDenied
		}
		if !slices.Contains(used, d) {
			used = append(used, d)
		}
	}
	if len(used) == 1 {
		return used[0].text, nil
	}
	texts := make([]string, len(used))
	for i, d := range used {
		texts[i] = d.text
	}
	return strings.Join(texts, ", "), nil
}

// Prefixes implements [auth.Prefixer], which makes lists of repositories faster. It returns the
// literal beginnings of the patterns of the rules that allow the identity something. Nil means that
// the identity may do nothing in any repository. The prefix "" fits every name.
func (r *Rules) Prefixes(ctx context.Context, identity auth.Identity) []string {
	return r.table(ctx).prefixes(identity)
}

// GrantsAnonymous reports whether the rules allow callers without credentials something, if only in
// one repository: see [auth.AllowsAnonymous]. A program can use it to warn of an open registry.
func (r *Rules) GrantsAnonymous() bool { return auth.AllowsAnonymous(context.Background(), r) }

// prefixes returns prefixes of all the repository names in which the identity may do something.
func (t *table) prefixes(identity auth.Identity) []string {
	var c caller
	t.prepare(&c, identity)
	var found []string
	var denied actions // everywhere
	for i := range t.rules {
		r := &t.rules[i]
		if r.actions&bitAll&^denied == 0 || !r.who.includes(&c) {
			continue
		}
		if r.deny {
			if !r.tagged && r.repos.All() {
				denied |= r.actions
			}
			continue
		}
		found = r.repos.AppendPrefixes(found, c.user)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if len(found) > 0 && found[0] == "" {
		return found[:1]
	}
	return found
}
