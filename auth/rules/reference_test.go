package rules_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/reference"
)

// naive decides word by word as the package comment says. It returns the index of the rule that
// decided, or -1, and whether the access is allowed.
func naive(list []rules.Rule, who auth.Identity, a auth.Access) (int, bool) {
	for i, r := range list {
		if naiveWho(r.Who, who) && naiveAbout(r, who, a) {
			return i, r.Effect != rules.Deny
		}
	}
	return -1, false
}

func naiveWho(w rules.Who, who auth.Identity) bool {
	if w.Everyone || w.Anonymous && who.Name == "" || w.Authenticated && who.Name != "" {
		return true
	}
	for _, u := range w.Users {
		if u == who.Name {
			return true
		}
	}
	for _, g := range w.Groups {
		for _, have := range who.Groups {
			if g == have {
				return true
			}
		}
	}
	for _, m := range w.Claims {
		all := true
		for key, glob := range m {
			value, ok := who.Claims[key]
			all = all && ok && naiveMatch([]string{glob}, fmt.Sprint(value))
		}
		if all {
			return true
		}
	}
	return false
}

// naiveMatch reports whether one of the patterns and none of the exceptions match.
func naiveMatch(globs []string, name string) bool {
	in, out := false, false
	for _, g := range globs {
		text, except := strings.CutPrefix(g, "!")
		if doublestar.MatchUnvalidated(text, name) {
			in, out = in || !except, out || except
		}
	}
	return in && !out
}

func naiveRepository(globs []string, who auth.Identity, name string) bool {
	var own []string
	valid := reference.CheckName(who.Name) == nil && !strings.Contains(who.Name, "/")
	for _, g := range globs {
		if strings.Contains(g, "{user}") {
			if !valid {
				continue
			}
			g = strings.ReplaceAll(g, "{user}", who.Name)
		}
		own = append(own, g)
	}
	return naiveMatch(own, name)
}

func naiveAbout(r rules.Rule, who auth.Identity, a auth.Access) bool {
	everywhere := false
	for _, g := range r.Repositories {
		everywhere = everywhere || g == "**"
	}
	for _, g := range r.Repositories {
		everywhere = everywhere && g[0] != '!'
	}
	has := make(map[auth.Action]bool)
	for _, action := range r.Actions {
		has[action] = true
		if action == auth.All {
			for _, one := range []auth.Action{auth.Pull, auth.Push, auth.Overwrite, auth.Delete, auth.Manage, auth.Read} {
				has[one] = true
			}
			if everywhere && len(r.Tags) == 0 {
				has[rules.Catalog] = true
			}
		}
	}
	switch {
	case a.Type == auth.TypeRegistry && a.Name == auth.NameCatalog:
		return has[rules.Catalog]
	case a.Type == auth.TypeRegistry:
		return has[a.Action] && (slices.Contains(r.Registry, a.Name) || slices.Contains(r.Registry, "*"))
	case a.Type == auth.TypeAccount:
		return has[a.Action] && naiveRepository(r.Accounts, who, a.Name)
	}
	if !naiveRepository(r.Repositories, who, a.Name) {
		return false
	}
	deny := r.Effect == rules.Deny
	if a.Action == auth.All {
		if !deny {
			return has[auth.All] && len(r.Tags) == 0
		}
		return has[auth.Pull] || has[auth.Push] || has[auth.Overwrite] || has[auth.Delete] || has[auth.Manage]
	}
	if !has[a.Action] && !has[auth.All] {
		return false
	}
	switch {
	case len(r.Tags) == 0:
		return true
	case a.Tag != "":
		return naiveMatch(r.Tags, a.Tag)
	case a.Action == auth.Pull || a.Action == auth.Push:
		return !deny
	}
	return deny
}

var (
	somePatterns = []string{
		"**", "*", "a/**", "a/*", "**/app", "a/b", "a", "{user}/**", "{user}", "u/{user}/**", "*/{user}", "**/{user}/**",
		"x-{user}", "a/{user}-*/b", "{a,b}/**",
		"[a-b]/app", "[!a]/app", "{user}/{app,b*}", "a/**/b", "?/*", "**/{user}*", "a*", "{a/b,b}/*", "*{user}/*",
	}
	someNames = []string{
		"a", "b", "a/b", "a/app", "b/app", "a/b/app", "ann", "ann/app", "u/ann/app", "u/ann", "a/ann", "x-ann",
		"a/ann-dev/b", "a/a/b", "a/x/y/b", "ann/ann/ann", "annann/b",
		"a-b", "ab", "b/b", "a/a", "a/a/a", "bob/b", "xann/ann/b",
	}
	someTags  = []string{"", "v1", "v0.1", "latest", "dev-1"}
	tagGlobs  = []string{"v*", "v0*", "latest", "*", "{dev-*,v1}", "**", "[a-v]*"}
	someUsers = []auth.Identity{
		{}, {Name: "ann"}, {Name: "a"}, {Name: "bob", Groups: []string{"devs"}},
		{Name: "Ann", Groups: []string{"ops", "devs"}}, {Name: "*"}, {Name: "a/b"}, {Name: "{a,b}"},
		{Name: "ci", Claims: map[string]any{"ref": "refs/heads/main", "n": 3}},
		{Claims: map[string]any{"ref": "refs/tags/v1"}}, {Name: "**", Groups: []string{""}}, {Name: ".."},
		{Name: "[a-z]"}, {Name: "ann-dev"},
	}
	someActions = []auth.Action{auth.Pull, auth.Push, auth.Overwrite, auth.Delete, auth.Manage, auth.All, rules.Catalog,
		auth.Read}
	accountPatterns = []string{"*", "**", "a*", "{user}", "{user}+*", "ann+?ot", "{a,ann}", "[!a]*+*", "*+*"}
	accountNames    = []string{"a", "ann", "ann+bot", "ann-dev", "ci+bot", "bob", "a+bot"}
	registryParts   = []string{auth.NameJobs, auth.NameAudit, auth.NameRules}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func some(r *rand.Rand, from []string) []string {
	list := []string{pick(r, from)}
	for r.IntN(3) == 0 {
		list = append(list, strings.Repeat("!", r.IntN(2))+pick(r, from))
	}
	return list
}

func someRule(r *rand.Rand) rules.Rule {
	rule := rules.Rule{Effect: pick(r, []rules.Effect{"", rules.Allow, rules.Deny})}
	switch r.IntN(7) {
	case 0:
		rule.Who.Everyone = true
	case 1:
		rule.Who.Authenticated = true
	case 2:
		rule.Who.Anonymous = true
	case 3:
		rule.Who.Users = some(r, []string{"ann", "bob", "ci", "Ann"})[:1]
	case 4:
		rule.Who.Groups = []string{pick(r, []string{"devs", "ops"}), "none"}
	case 5:
		rule.Who.Claims = []map[string]string{{"ref": pick(r, []string{"refs/heads/*", "refs/**", "main"}), "n": "[1-3]"},
			{"ref": "refs/tags/*"}}
	case 6:
		rule.Who = rules.Who{Users: []string{"ann", "a"}, Groups: []string{"ops"}}
	}
	for range 1 + r.IntN(3) {
		rule.Actions = append(rule.Actions, pick(r, someActions))
	}
	has := func(actions ...auth.Action) bool {
		return slices.ContainsFunc(actions, func(a auth.Action) bool { return slices.Contains(rule.Actions, a) })
	}
	only := has(auth.Pull, auth.Push, auth.Overwrite, auth.Delete) // an action that needs repositories
	if has(auth.Read) || has(auth.Manage, auth.All) && r.IntN(2) == 0 {
		rule.Accounts = some(r, accountPatterns)
		if r.IntN(2) == 0 {
			rule.Registry = []string{pick(r, append(registryParts, "*"))}
		}
	}
	if only || has(auth.Manage, auth.All) && (rule.Accounts == nil || r.IntN(2) == 0) {
		rule.Repositories = some(r, somePatterns)
		if r.IntN(3) == 0 && rule.Accounts == nil {
			rule.Tags = some(r, tagGlobs)
		}
	}
	return rule
}

// TestDecisionsEqualReference compares random rules and callers with a simple evaluator that
// follows the package comment. Every allowed repository has one of the prefixes, and Scope allows
// what is allowed with any tag.
func TestDecisionsEqualReference(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	allowed, denied := 0, 0
	for range 1000 {
		list := make([]rules.Rule, 1+r.IntN(5))
		for i := range list {
			list[i] = someRule(r)
		}
		compiled, err := rules.New(list)
		require.NoError(t, err, "%+v", list)
		for range 60 {
			who := pick(r, someUsers)
			a := auth.Access{Type: auth.TypeRepository, Name: pick(r, someNames), Action: pick(r, someActions[:6]),
				Tag: pick(r, someTags)}
			if a.Action == auth.All {
				a.Tag = ""
			}
			manage := pick(r, []auth.Action{auth.Read, auth.Manage})
			switch r.IntN(20) {
			case 0:
				a = auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}
			case 1, 2:
				a = auth.Access{Type: auth.TypeRegistry, Name: pick(r, registryParts), Action: manage}
			case 3, 4, 5:
				a = auth.Access{Type: auth.TypeAccount, Name: pick(r, accountNames), Action: manage}
			}
			i, want := naive(list, who, a)
			text, err := compiled.Explain(t.Context(), who, []auth.Access{a})
			at := fmt.Sprintf("%+v\n%+v\n%+v", list, who, a)
			require.Equal(t, want, err == nil, at)
			if i < 0 {
				require.Empty(t, text, at)
				require.ErrorIs(t, err, auth.ErrDenied)
			} else {
				require.Equal(t, fmt.Sprintf("rule %d", i), text, at)
			}
			require.Equal(t, err, compiled.Authorize(t.Context(), who, []auth.Access{a}))
			if !want {
				denied++
				continue
			}
			allowed++
			a.Tag = ""
			_, err = compiled.Scope(t.Context(), who, []auth.Access{a})
			require.NoError(t, err, at)
			if a.Type == auth.TypeRepository {
				require.True(t, below(compiled.Prefixes(t.Context(), who), a.Name), at)
			}
			catalog := a.Type == auth.TypeRegistry && a.Name == auth.NameCatalog
			if who.Name == "" && len(who.Claims) == 0 && (catalog || a.Type == auth.TypeRepository) {
				require.True(t, compiled.GrantsAnonymous(), at)
			}
		}
	}
	require.Greater(t, allowed, 3000)
	require.Greater(t, denied, 5000)
}

func below(prefixes []string, name string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// FuzzPattern: an accepted pattern matches the names that doublestar matches after {user} is replaced
// by the name of the caller.
func FuzzPattern(f *testing.F) {
	for _, p := range somePatterns {
		for _, n := range someNames {
			f.Add(p, "ann", n)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, user, name string) {
		// A negated class matches a slash with doublestar, but not in rules.
		if reference.CheckName(name) != nil || strings.ContainsAny(pattern, "[!") {
			return
		}
		r, err := rules.New([]rules.Rule{{Who: rules.Who{Everyone: true}, Repositories: []string{pattern},
			Actions: []auth.Action{auth.Pull}}})
		if err != nil {
			return
		}
		who := auth.Identity{Name: user}
		want := naiveRepository([]string{pattern}, who, name)
		err = r.Authorize(t.Context(), who, []auth.Access{{Type: auth.TypeRepository, Name: name, Action: auth.Pull}})
		if want != (err == nil) || err != nil && !errors.Is(err, auth.ErrDenied) {
			t.Fatalf("%q %q %q: %v", pattern, user, name, err)
		}
		if want && !below(r.Prefixes(t.Context(), who), name) {
			t.Fatalf("%q %q %q: not below %q", pattern, user, name, r.Prefixes(t.Context(), who))
		}
	})
}
