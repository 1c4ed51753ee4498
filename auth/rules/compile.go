package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/internal/pattern"
)

// maxPatterns is the maximum number of patterns of all rules. Each alternative in braces counts.
const maxPatterns = 1 << 17

// actions is a set of actions of a rule.
type actions uint8

const (
	bitPull actions = 1 << iota
	bitPush
	bitOverwrite
	bitDelete
	bitManage
	bitOther // actions on a repository that this version does not know
	bitCatalog
	bitRead // of accounts and of parts of the registry

	// bitAll is everything that can be done with a repository.
	bitAll = bitPull | bitPush | bitOverwrite | bitDelete | bitManage | bitOther
	// bitContent is what can be done only with a repository.
	bitContent = bitAll &^ bitManage
	// bitSettings is everything that can be done with an account or a part of the registry.
	bitSettings = bitRead | bitManage
)

// rule is a compiled Rule.
type rule struct {
	text     string // for Explain
	actions  actions
	deny     bool
	repos    pattern.Patterns
	accounts pattern.Patterns
	registry map[string]struct{}
	tagged   bool // limited to tags
	tags     pattern.Patterns
	who      who
}

// who is a compiled Who.
type who struct {
	everyone, anonymous, authenticated bool

	users  map[string]struct{}
	user   string // the user, if there is only one; users is nil then
	groups []int  // indexes of table.groups
	claims [][]claim
}

// claim is a key of the claims and the patterns that its value must match.
type claim struct {
	key    string
	values pattern.Patterns
}

// table is a list of compiled rules in their order. It never changes.
type table struct {
	rules    []rule
	groups   map[string]int // the index of each group that a rule names
	user     bool           // a pattern contains {user}
	patterns int
	content  string // the YAML, or ""
	listed   []Listed
}

// place is the source of a rule.
type place struct {
	rule string // for Explain and errors
	// at returns the place of an element of a field, for errors. The index -1 means the field
	// itself.
	at func(field string, i int) string
}

// newTable compiles rules. It returns an error, with its place, for the first invalid one.
func newTable(rules []Rule, places []place) (*table, error) {
	t := &table{rules: make([]rule, len(rules)), groups: make(map[string]int)}
	for i := range rules {
		if err := t.compile(&t.rules[i], &rules[i], places[i]); err != nil {
			return nil, err
		}
		t.listed = append(t.listed, Listed{Text: t.rules[i].text, Rule: rules[i]})
		if t.patterns > maxPatterns {
			return nil, fmt.Errorf("%s: more than %d patterns", places[i].rule, maxPatterns)
		}
	}
	return t, nil
}

func (t *table) compile(c *rule, r *Rule, p place) error {
	fail := func(field string, i int, format string, args ...any) error {
		return fmt.Errorf("%s: %s: %w", p.at(field, i), field, fmt.Errorf(format, args...))
	}
	c.text = p.rule
	if r.Name != "" {
		c.text += ": " + r.Name
	}
	switch r.Effect {
	case "", Allow:
	case Deny:
		c.deny = true
	default:
		return fail("effect", -1, "%q is neither allow nor deny", r.Effect)
	}
	if field, i, err := t.compileWho(&c.who, &r.Who); err != nil {
		return fail(field, i, "%w", err)
	}
	if len(r.Actions) == 0 {
		return fail("actions", -1, "none is given")
	}
	for i, a := range r.Actions {
		bits, err := actionsOf(a)
		if err != nil {
			return fail("actions", i, "%w", err)
		}
		c.actions |= bits
	}
	if field, err := checkFields(r, c.actions); err != nil {
		return fail(field, -1, "%w", err)
	}
	if field, i, err := c.compileNames(r); err != nil {
		return fail(field, i, "%w", err)
	}
	if c.actions&bitAll == bitAll && c.repos.All() && !c.tagged && slices.Contains(r.Actions, auth.All) {
		c.actions |= bitCatalog
	}
	t.patterns += c.repos.Len() + c.tags.Len() + c.accounts.Len()
	t.user = t.user || c.repos.User() || c.accounts.User()
	return nil
}

// actionsOf returns the set of actions that an action in a rule stands for.
func actionsOf(a auth.Action) (actions, error) {
	switch a {
	case auth.Pull:
		return bitPull, nil
	case auth.Push:
		return bitPush, nil
	case auth.Overwrite:
		return bitOverwrite, nil
	case auth.Delete:
		return bitDelete, nil
	case auth.Manage:
		return bitManage, nil
	case auth.Read:
		return bitRead, nil
	case Catalog:
		return bitCatalog, nil
	case auth.All:
		return bitAll | bitRead, nil
	}
	return 0, fmt.Errorf("%q is not one of pull, push, overwrite, delete, catalog, read, manage and *", string(a))
}

// compileWho compiles a Who. With an error, it returns the field and the index of the mistake.
func (t *table) compileWho(c *who, w *Who) (field string, i int, err error) {
	c.everyone = w.Everyone || w.Anonymous && w.Authenticated
	c.anonymous, c.authenticated = w.Anonymous, w.Authenticated
	if !w.Everyone && !w.Anonymous && !w.Authenticated && len(w.Users) == 0 && len(w.Groups) == 0 && len(w.Claims) == 0 {
		return "who", -1, errors.New("it is empty, so the rule applies to nobody")
	}
	for i, name := range w.Users {
		if err := checkName(name); err != nil {
			return "user", i, err
		}
	}
	if len(w.Users) == 1 {
		c.user = w.Users[0]
	} else if len(w.Users) > 1 {
		c.users = make(map[string]struct{}, len(w.Users))
		for _, name := range w.Users {
			c.users[name] = struct{}{}
		}
	}
	for i, name := range w.Groups {
		if err := checkName(name); err != nil {
			return "group", i, err
		}
		id, known := t.groups[name]
		if !known {
			id = len(t.groups)
			t.groups[name] = id
		}
		c.groups = append(c.groups, id)
	}
	for i, m := range w.Claims {
		if len(m) == 0 {
			return "claim", i, errors.New("none is given")
		}
		var all []claim
		for key, value := range m {
			if key == "" {
				return "claim", i, errors.New("a key is empty")
			}
			ps, _, err := pattern.Claim.Compile([]string{value})
			if err != nil {
				return "claim", i, fmt.Errorf("%s: %w", key, err)
			}
			t.patterns += ps.Len()
			all = append(all, claim{key, ps})
		}
		slices.SortFunc(all, func(a, b claim) int { // the patterns that are fast to match first
			return cmp.Or(cmp.Compare(a.values.Cost(), b.values.Cost()), strings.Compare(a.key, b.key))
		})
		c.claims = append(c.claims, all)
	}
	return "", 0, nil
}

// checkName returns an error for a name of a user or group that was probably meant as a pattern.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("a name is empty")
	case strings.Contains(name, "*"):
		return fmt.Errorf("%q: names are no patterns; authenticated means every caller with a name", name)
	case strings.HasPrefix(name, "!"):
		return fmt.Errorf("%q: names have no exceptions; an earlier rule with effect deny makes one", name)
	}
	return nil
}
