package oidc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/basic"
	"github.com/registrykit/registry/auth/internal/pattern"
)

const (
	maxGroups = 200     // of an identity
	maxKept   = 4 << 10 // bytes of the claims that an identity keeps
)

// rule is a compiled Rule.
type rule struct {
	name     string
	claims   []claim
	identity template
	robot    string
	groups   []template
	keep     []string
}

// claim is a claim and the patterns of its value.
type claim struct {
	name     string
	patterns pattern.Patterns
}

// compileRule compiles the rule with an index.
//
// Errors: *mistake.
func compileRule(p *Provider, index int) (rule, error) {
	given := &p.Rules[index]
	r := rule{name: given.Name, robot: given.Robot, keep: slices.Clone(given.Keep)}
	if r.name == "" {
		r.name = fmt.Sprintf("rule %d", index)
	}
	if len(r.name) > maxText || unprintable(r.name) {
		return rule{}, wrong("name", 0, "it must be a printable text of at most %d bytes", maxText)
	}
	if len(given.Claims) == 0 || len(given.Claims) > maxList {
		return rule{}, wrong("claims", 0, "a rule must have 1 to %d claims", maxList)
	}
	for _, name := range slices.Sorted(maps.Keys(given.Claims)) {
		c, err := compileClaim(name, given.Claims[name])
		if err != nil {
			return rule{}, err
		}
		r.claims = append(r.claims, c)
	}
	if err := checkPublic(p.Issuer, given.Claims); err != nil {
		return rule{}, err
	}
	return r, r.compileIdentity(given)
}

// compileClaim compiles the patterns of a claim.
func compileClaim(name string, patterns []string) (claim, error) {
	field := "claims." + name
	switch {
	case name == "" || len(name) > maxText:
		return claim{}, wrong(field, 0, "the name of a claim must have 1 to %d bytes", maxText)
	case strings.HasPrefix(name, reserved):
		return claim{}, wrong(field, 0, "claims that begin with %q are never used", reserved)
	case len(patterns) == 0 || len(patterns) > maxList:
		return claim{}, wrong(field, 0, "a claim must have 1 to %d patterns", maxList)
	}
	ps, i, err := pattern.Claim.Compile(patterns)
	if err != nil {
		return claim{}, wrong(field, max(i, 0), "%w", err)
	}
	return claim{name, ps}, nil
}

// compileIdentity compiles what the rule makes of a token.
func (r *rule) compileIdentity(given *Rule) error {
	var err error
	switch {
	case given.Robot == "":
		text := given.Identity
		if text == "" {
			text = "{sub}"
		}
		if r.identity, err = parseTemplate(text); err != nil {
			return wrong("identity", 0, "%w", err)
		}
	case given.Identity != "" || len(given.Groups) > 0:
		return wrong("robot", 0, "the name and the groups are those of the robot: identity and groups must not be given")
	case len(given.Robot) > basic.MaxName || !robotName.MatchString(given.Robot):
		return wrong("robot", 0, "%.100q must be NAMESPACE+NAME", given.Robot)
	}
	if len(given.Groups) > maxList || len(given.Keep) > maxList {
		return wrong("groups", 0, "more than %d groups or claims to keep", maxList)
	}
	for i, text := range given.Groups {
		t, err := parseTemplate(text)
		switch {
		case err != nil:
			return wrong("groups", i, "%w", err)
		case t.head == "":
			return wrong("groups", i, "%q must begin with a text, such as \"ci:%s\": otherwise a token could name any group",
				text, text)
		}
		r.groups = append(r.groups, t)
	}
	for i, claim := range given.Keep {
		switch {
		case claim == "" || len(claim) > maxText:
			return wrong("keep", i, "the name of a claim must have 1 to %d bytes", maxText)
		case strings.HasPrefix(claim, reserved) || claim == RuleClaim:
			return wrong("keep", i, "the claim %q is never kept", claim)
		}
	}
	return nil
}

// matches reports whether all claims match.
func (r *rule) matches(values map[string]any) bool {
	for i := range r.claims {
		c := &r.claims[i]
		if !c.matches(values[c.name]) {
			return false
		}
	}
	return true
}

// matches reports whether a value, or an element of it if it is a list, matches.
func (c *claim) matches(value any) bool {
	list, ok := value.([]string)
	if !ok {
		text, err := textOf(value)
		if err != nil {
			return false
		}
		list = []string{text}
	}
	return slices.ContainsFunc(list, func(text string) bool {
		s := pattern.NewSubject(text, "")
		return c.patterns.Match(&s)
	})
}

// identify returns the identity of a token that the rule matches.
func (r *rule) identify(provider string, values map[string]any) (auth.Identity, error) {
	identity := auth.Identity{Name: r.robot}
	if r.robot == "" {
		text, err := r.identity.expand(values)
		if err != nil {
			return auth.Identity{}, fmt.Errorf("identity: %w", err)
		}
		if identity.Name = provider + ":" + text; !basic.ValidName(identity.Name) {
			return auth.Identity{}, fmt.Errorf("identity: %q is no valid name of at most %d bytes", identity.Name, basic.MaxName)
		}
	}
	for _, t := range r.groups {
		texts, err := t.expandAll(values)
		if err != nil {
			return auth.Identity{}, fmt.Errorf("groups: %w", err)
		}
		identity.Groups = append(identity.Groups, texts...)
	}
	if len(identity.Groups) > maxGroups {
		return auth.Identity{}, fmt.Errorf("groups: more than %d", maxGroups)
	}
	slices.Sort(identity.Groups)
	identity.Groups = slices.Clip(slices.Compact(identity.Groups))
	var err error
	identity.Claims, err = r.kept(values)
	identity.Claims[RuleClaim] = provider + ": " + r.name
	return identity, err
}

// kept returns the claims that the identity keeps.
func (r *rule) kept(values map[string]any) (map[string]any, error) {
	kept, size := make(map[string]any, len(r.keep)+1), 0
	for _, claim := range r.keep {
		value, ok := values[claim]
		if !ok {
			continue
		}
		kept[claim] = value
		size += len(claim)
		switch v := value.(type) {
		case string:
			size += len(v)
		case []string:
			for _, element := range v {
				size += len(element) + 3 // as JSON
			}
		}
	}
	if size > maxKept {
		return kept, errors.New("keep: the claims are too long")
	}
	return kept, nil
}
