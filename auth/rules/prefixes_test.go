package rules_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
)

func TestPrefixes(t *testing.T) {
	ann, bob := auth.Identity{Name: "ann"}, auth.Identity{Name: "Bob", Groups: []string{"ops"}}
	for _, c := range []struct {
		rules          string
		anon, ann, bob []string
		grantsAnon     bool
	}{
		{"", nil, nil, nil, false},
		{`{who: everyone, repositories: "**", actions: pull}`, []string{""}, []string{""}, []string{""}, true},
		{`{who: everyone, repositories: "a/**", actions: pull}`, []string{"a"}, []string{"a"}, []string{"a"}, true},
		{`{who: everyone, repositories: "{user}/**", actions: pull}`, nil, []string{"ann"}, nil, false},
		{`{who: everyone, repositories: ["x/{user}-*/b", "y/*/{user}"], actions: pull}`, nil, []string{"x/ann", "y/"}, nil,
			false},
		{`{who: {group: ops}, repositories: ["b/{c,d}/*", "b/c/x*", b/c/**], actions: push}`, nil, nil,
			[]string{"b/c", "b/c/", "b/c/x", "b/d/"}, false},
		{`{who: authenticated, actions: catalog}`, nil, nil, nil, false},
		{`{who: anonymous, actions: catalog}`, nil, nil, nil, true},
		// A rule that denies everything outweighs the rules after it.
		{`{who: anonymous, repositories: "**", actions: "*", effect: deny},` +
			`{who: everyone, repositories: "a", actions: [pull, catalog]}`, nil, []string{"a"}, []string{"a"}, false},
		{`{who: anonymous, repositories: "**", actions: [push, delete], effect: deny},` +
			`{who: everyone, repositories: "a", actions: push}`, nil, []string{"a"}, []string{"a"}, false},
		{`{who: anonymous, repositories: ["**", "!a"], actions: "*", effect: deny},` +
			`{who: everyone, repositories: "a", actions: push}`, []string{"a"}, []string{"a"}, []string{"a"}, true},
		{`{who: anonymous, repositories: "**", actions: "*", tags: "*", effect: deny},` +
			`{who: everyone, repositories: "a", actions: push}`, []string{"a"}, []string{"a"}, []string{"a"}, true},
	} {
		r, err := rules.Parse([]byte("rules: [" + c.rules + "]"))
		require.NoError(t, err)
		require.Equal(t, c.anon, r.Prefixes(t.Context(), auth.Identity{}), c.rules)
		require.Equal(t, c.ann, r.Prefixes(t.Context(), ann), c.rules)
		require.Equal(t, c.bob, r.Prefixes(t.Context(), bob), c.rules)
		require.Equal(t, c.grantsAnon, r.GrantsAnonymous(), c.rules)
	}
}

// TestManyGroups has more groups than the fixed part of a caller holds.
func TestManyGroups(t *testing.T) {
	list := make([]rules.Rule, 3000)
	for i := range list {
		who := rules.Who{Groups: []string{fmt.Sprintf("g%d", i)}}
		list[i] = rules.Rule{Who: who, Repositories: []string{fmt.Sprintf("r%d", i)}, Actions: []auth.Action{auth.Pull}}
	}
	r, err := rules.New(list)
	require.NoError(t, err)
	who := auth.Identity{Name: "ann", Groups: []string{"none", "g2999", "g63"}}
	for repo, want := range map[string]error{"r2999": nil, "r63": nil, "r64": auth.ErrDenied, "r0": auth.ErrDenied,
		"r2935": auth.ErrDenied} {
		require.Equal(t, want, r.Authorize(t.Context(), who, access(auth.Pull, repo, "")), repo)
	}
	require.Equal(t, []string{"r2999", "r63"}, r.Prefixes(t.Context(), who))
}

// TestUserIsLiteral: the name of a caller is never a pattern.
func TestUserIsLiteral(t *testing.T) {
	r, err := rules.Parse([]byte(`rules: [{who: everyone, actions: pull,
		repositories: ["{user}/**", "x/{user}", "y-{user}", "**/{user}/z"]}]`))
	require.NoError(t, err)
	repos := []string{"ann/app", "ann", "x/ann", "y-ann", "a/ann/z", "b/b", "x/b"}
	for _, name := range []string{
		"", "*", "**", "?", "???", "[a-z]", "[!x]nn", "{ann,bob}", "a*", "*n", "{user}", "!bob", "ann/", "/ann", "ann/app",
		"ann/**", "Ann", "ANN", "ann ", " ann", "ann\x00", "../ann", "..", ".",
		"a\\nn", "ann@example.com", "ann:", "-ann", "ann-", "a..nn", "a___b", "ａnn", "x/ann", "y-ann/..",
	} {
		for _, repo := range repos {
			require.Equal(t, auth.ErrDenied, r.Authorize(t.Context(), auth.Identity{Name: name}, access(auth.Pull, repo, "")),
				"%q %s", name, repo)
		}
		require.Empty(t, r.Prefixes(t.Context(), auth.Identity{Name: name}))
	}
	for i, repo := range repos {
		require.Equal(t, i < 5, r.Authorize(t.Context(), auth.Identity{Name: "ann"}, access(auth.Pull, repo, "")) == nil,
			repo)
	}
}
