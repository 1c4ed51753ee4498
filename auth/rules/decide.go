package rules

import (
	"strconv"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/pattern"
	"github.com/registrykit/registry/reference"
)

// caller is an identity, prepared for matching rules.
type caller struct {
	identity auth.Identity
	user     string // the value of {user}; "" if there is none
	// The groups of the caller, as bits by their index in table.groups. They are in few, or in many
	// if few is too small.
	grouped bool
	few     [16]uint64
	many    []uint64
}

// prepare sets c to the identity, for the rules of t.
func (t *table) prepare(c *caller, identity auth.Identity) {
	c.identity = identity
	if t.user && !strings.Contains(identity.Name, "/") && reference.CheckName(identity.Name) == nil {
		c.user = identity.Name
	}
	if len(t.groups) == 0 || len(identity.Groups) == 0 {
		return
	}
	if n := (len(t.groups) + 63) / 64; n > len(c.few) {
		c.many = make([]uint64, n)
	}
	for _, g := range identity.Groups {
		if id, ok := t.groups[g]; ok {
			c.grouped = true
			*c.bits(id) |= 1 << (id % 64)
		}
	}
}

// bits returns the word that contains the bit of a group.
func (c *caller) bits(id int) *uint64 {
	if c.many != nil {
		return &c.many[id/64]
	}
	return &c.few[id/64]
}

// includes reports whether the caller matches w.
func (w *who) includes(c *caller) bool {
	name := c.identity.Name
	if w.everyone || w.anonymous && name == "" || w.authenticated && name != "" || w.user != "" && w.user == name {
		return true
	}
	if len(w.users) > 0 {
		if _, ok := w.users[name]; ok {
			return true
		}
	}
	if c.grouped {
		for _, id := range w.groups {
			if *c.bits(id)&(1<<(id%64)) != 0 {
				return true
			}
		}
	}
	for _, all := range w.claims {
		if matchClaims(all, c.identity.Claims) {
			return true
		}
	}
	return false
}

// matchClaims reports whether all patterns match the claims of a caller.
func matchClaims(all []claim, claims map[string]any) bool {
	for i := range all {
		if value, ok := claims[all[i].key]; !ok || !all[i].matches(value) {
			return false
		}
	}
	return true
}

// matches reports whether a value, or an element of it if it is a list, matches.
func (c *claim) matches(value any) bool {
	var text string
	switch v := value.(type) {
	case string:
		text = v
	case bool:
		text = strconv.FormatBool(v)
	case float64: // the type of all numbers in a token
		text = strconv.FormatFloat(v, 'f', -1, 64)
	case int:
		text = strconv.Itoa(v)
	case int64:
		text = strconv.FormatInt(v, 10)
	case []string:
		for _, element := range v {
			if c.matches(element) {
				return true
			}
		}
		return false
	case []any:
		for _, element := range v {
			if _, nested := element.([]any); !nested && c.matches(element) {
				return true
			}
		}
		return false
	default:
		return false
	}
	s := pattern.NewSubject(text, "")
	return c.values.Match(&s)
}

// question is an access, prepared for matching rules.
type question struct {
	kind    string // the type of the access; "" for the catalog
	name    pattern.Subject
	tag     pattern.Subject
	actions actions // a rule that allows must have all of them, a rule that denies one
	content bool    // without a tag, the access is to content, which tags do not limit
	unused  bool    // the access is a delete that removes no tag
	tags    tagMode // which tag is meant if tag is ""
}

// tagMode says which tag the question is about if the access names none.
type tagMode int

const (
	exactTag tagMode = iota // no tag: the access is not about one
	anyTag                  // at least one tag for which the access is allowed
)

// newQuestion returns the question for an access. user is the value of {user}. It returns false if
// no rule can apply to the access.
func newQuestion(a *auth.Access, user string, mode tagMode) (question, bool) {
	q := question{kind: a.Type, tags: mode}
	switch {
	case a.Name == "" || a.Action == "":
		return q, false
	case a.Type == auth.TypeRegistry && a.Name == auth.NameCatalog:
		q.kind, q.actions = "", bitCatalog
		return q, a.Action == auth.All
	case a.Type == auth.TypeRegistry, a.Type == auth.TypeAccount:
		q.name = pattern.NewSubject(a.Name, user)
		switch a.Action {
		case auth.Read:
			q.actions = bitRead
		case auth.Manage:
			q.actions = bitManage
		}
		return q, q.actions != 0
	}
	q.name, q.tag = pattern.NewSubject(a.Name, user), pattern.NewSubject(a.Tag, "")
	switch a.Action {
	case auth.Pull:
		q.actions, q.content = bitPull, true
	case auth.Push:
		q.actions, q.content = bitPush, true
	case auth.Overwrite:
		q.actions = bitOverwrite
	case auth.Delete:
		q.actions, q.unused = bitDelete, a.Untagged && a.Tag == ""
	case auth.Manage:
		q.actions = bitManage
	case auth.All:
		q.actions = bitAll
	default:
		q.actions = bitOther
	}
	return q, a.Type == auth.TypeRepository
}

// decide returns the first rule that applies to the access, or nil if no rule does.
func (t *table) decide(c *caller, a *auth.Access, mode tagMode) *rule {
	q, ok := newQuestion(a, c.user, mode)
	if !ok {
		return nil
	}
	for i := range t.rules {
		r := &t.rules[i]
		if r.appliesTo(&q) && r.names(&q) && r.who.includes(c) {
			return r
		}
	}
	return nil
}

// appliesTo reports whether actions and tags of the rule match the question.
func (r *rule) appliesTo(q *question) bool {
	if r.actions&q.actions == 0 || !r.deny && r.actions&q.actions != q.actions {
		return false
	}
	switch {
	case !r.tagged || q.kind != auth.TypeRepository:
		return true
	case q.tag.Name != "":
		return r.tags.Match(&q.tag)
	case q.content:
		return !r.deny
	case q.unused:
		return false
	case q.tags == anyTag:
		return !r.deny || r.tags.All()
	}
	return r.deny
}

// names reports whether the rule is about the repository, the account or the part of the registry of the question.
func (r *rule) names(q *question) bool {
	switch q.kind {
	case auth.TypeRepository:
		return r.repos.Match(&q.name)
	case auth.TypeAccount:
		return r.accounts.Match(&q.name)
	case auth.TypeRegistry:
		_, ok := r.registry[q.name.Name]
		return ok
	}
	return true // the catalog
}
