package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
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
	bitOther // actions on a repository that this version does not know
	bitCatalog

	bitAll = bitPull | bitPush | bitOverwrite | bitDelete | bitOther
)

// rule is a compiled Rule.
type rule struct {
	text    string // for Explain
	actions actions
	deny    bool
	repos   patterns
	tagged  bool // limited to tags
	tags    patterns
	who     who
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
	values patterns
}

// table is a list of compiled rules in their order. It never changes.
type table struct {
	rules    []rule
	groups   map[string]int // the index of each group that a rule names
	user     bool           // a pattern contains {user}
	patterns int
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
	switch onRepositories := c.actions&bitAll != 0; {
	case onRepositories && len(r.Repositories) == 0:
		return fail("repositories", -1, "none is given")
	case !onRepositories && len(r.Repositories) > 0:
		return fail("repositories", -1, "the catalog is of all repositories; it shows what the caller may pull")
	case !onRepositories && len(r.Tags) > 0:
		return fail("tags", -1, "the catalog has none")
	}
	var i int
	var err error
	if c.repos, i, err = repositoryPattern.compile(r.Repositories); err != nil {
		return fail("repositories", i, "%w", err)
	}
	if c.tags, i, err = tagPattern.compile(r.Tags); err != nil {
		return fail("tags", i, "%w", err)
	}
	c.tagged = len(r.Tags) > 0
	if c.actions&bitAll == bitAll && c.repos.all() && !c.tagged && slices.Contains(r.Actions, auth.All) {
		c.actions |= bitCatalog
	}
	for _, list := range [][]pattern{c.repos.in, c.repos.out, c.tags.in, c.tags.out} {
		t.patterns += len(list)
	}
	for _, list := range [][]pattern{c.repos.in, c.repos.out} {
		t.user = t.user || slices.ContainsFunc(list, func(p pattern) bool { return p.user })
	}
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
	case Catalog:
		return bitCatalog, nil
	case auth.All:
		return bitAll, nil
	}
	return 0, fmt.Errorf("%q is none of pull, push, overwrite, delete, catalog and *", string(a))
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
			ps, _, err := claimPattern.compile([]string{value})
			if err != nil {
				return "claim", i, fmt.Errorf("%s: %w", key, err)
			}
			t.patterns += len(ps.in)
			all = append(all, claim{key, ps})
		}
		slices.SortFunc(all, func(a, b claim) int { // the patterns that are fast to match first
			return cmp.Or(-cmp.Compare(a.values.in[0].tail, b.values.in[0].tail), strings.Compare(a.key, b.key))
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
