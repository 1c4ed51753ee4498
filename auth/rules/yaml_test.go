package rules_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
)

const whole = `# who may do what
rules:
  - name: nobody touches releases
    who: [authenticated, anonymous]
    repositories: [apps/**, "!apps/scratch"]
    actions: [overwrite, delete]
    tags: ["v*", '!v0*']
    effect: deny
  - who: [{user: [ann, 007]}, {group: ops}, {claim: {repository: "acme/*", protected: true, level: 3}}]
    repositories: "**"
    actions: "*"
    effect: allow
  - {who: everyone, repositories: "**", actions: [pull, catalog]}
`

func TestParse(t *testing.T) {
	r, err := rules.Parse([]byte(whole))
	require.NoError(t, err)
	require.True(t, r.GrantsAnonymous())
	ci := map[string]any{"repository": "acme/shop", "protected": true, "level": float64(3)}
	for _, c := range []struct {
		who    auth.Identity
		access string // as Access.String returns, and ":TAG" if there is a tag
		rule   string
		ok     bool
	}{
		{auth.Identity{Name: "ann"}, "repository:apps/a:push:v1", "line 9", true},
		{auth.Identity{Name: "ann"}, "repository:apps/a:overwrite:v1", "line 3: nobody touches releases", false},
		{auth.Identity{Name: "ann"}, "repository:apps/a:overwrite:v0.1", "line 9", true},
		{auth.Identity{Name: "ann"}, "repository:apps/scratch:overwrite:v1", "line 9", true},
		{auth.Identity{Name: "ann"}, "repository:apps/a:delete", "line 3: nobody touches releases", false},
		{auth.Identity{Name: "ann"}, "repository:b:delete", "line 9", true},
		{auth.Identity{Name: "ann"}, "registry:catalog:*", "line 9", true},
		{auth.Identity{Name: "007"}, "repository:b:push", "line 9", true},
		{auth.Identity{Name: "7"}, "repository:b:push", "", false},
		{auth.Identity{Name: "x", Groups: []string{"a", "ops"}}, "repository:b:push", "line 9", true},
		{auth.Identity{Name: "x", Claims: ci}, "repository:b:push", "line 9", true},
		{auth.Identity{Name: "x", Claims: map[string]any{"repository": "acme/shop", "level": 3}}, "repository:b:push", "",
			false},
		{auth.Identity{}, "repository:b:pull", "line 13", true},
		{auth.Identity{}, "registry:catalog:*", "line 13", true},
		{auth.Identity{}, "registry:other:*", "", false},
		{auth.Identity{Name: "ann"}, "plugin:b:pull", "", false},
		{auth.Identity{Name: "ann"}, "repository::pull", "", false},
	} {
		parts := strings.Split(c.access+":", ":")
		a := auth.Access{Type: parts[0], Name: parts[1], Action: auth.Action(parts[2]), Tag: parts[3]}
		rule, err := r.Explain(t.Context(), c.who, []auth.Access{a})
		require.Equal(t, c.ok, err == nil, "%v %v", c.who, c.access)
		require.Equal(t, c.rule, rule, "%v %v", c.who, c.access)
	}
	both := []auth.Access{
		{Type: auth.TypeRepository, Name: "b", Action: auth.Push},
		{Type: auth.TypeRepository, Name: "b", Action: auth.Push, Tag: "v1"},
	}
	rule, err := r.Explain(t.Context(), auth.Identity{Name: "ann"}, both)
	require.NoError(t, err)
	require.Equal(t, "line 9", rule)
	rule, err = r.Explain(t.Context(), auth.Identity{Name: "ann"},
		append(both, auth.Access{Type: auth.TypeRepository, Name: "apps/a", Action: auth.Delete}))
	require.ErrorIs(t, err, auth.ErrDenied)
	require.Equal(t, "line 3: nobody touches releases", rule)

	r, err = rules.Parse([]byte("rules: []"))
	require.NoError(t, err)
	require.False(t, r.GrantsAnonymous())
	require.ErrorIs(t, r.Authorize(t.Context(), auth.Identity{Name: "ann"}, both), auth.ErrDenied)
}

// TestParseErrors: each mistake is reported with its line.
func TestParseErrors(t *testing.T) {
	rule := func(change string) string { // change replaces one field of a valid rule
		field, _, _ := strings.Cut(change, ":")
		text := "rules:\n- name: x\n"
		for _, line := range []string{"who: everyone", `repositories: "**"`, "actions: pull", "tags: v1", "effect: allow"} {
			if strings.HasPrefix(line, field+":") {
				line, change = change, ""
			}
			text += "  " + line + "\n"
		}
		if change != "" {
			text += "  " + change + "\n"
		}
		return text
	}
	_, err := rules.Parse([]byte(rule("effect: deny")))
	require.NoError(t, err)
	for _, c := range []struct {
		text string
		line int
		want string
	}{
		{"", 1, "empty"}, {"# nothing\n", 1, "empty"}, {"rules:\n", 1, "no list"}, {"rules: {}\n", 1, "no list"},
		{"- x\n", 1, "fields"}, {"x: []\n", 1, `"x" is not one of`},
		{"rules: []\nrules: []\n", 2, "twice"}, {"rules: []\n---\nrules: []\n", 2, "second document"},
		{"rules: []\n\xff", 2, "UTF-8"}, {"rules:\n\n- \x00", 3, "UTF-8"},
		{"rules:\n- x\n", 2, "fields"}, {"rules:\n- {}\n", 2, "without who"}, {"rules:\n-\n", 2, "fields"},
		{"\n\nrules:\n  - who: x\n   actions: y\n", 5, "did not find"}, {"rules:\n- who: [x\n\n", 4, "did not find"},
		{"rules:\n\t- x\n", 2, "cannot start"},
		{rule("what: x"), 8, `"what" is not one of`}, {rule("name: y"), 8, "twice"}, {rule("name:\n  - a"), 8, "twice"},
		{"rules:\n- name: [x]\n  who: everyone\n", 2, "text"},
		{rule("who: nobody"), 3, `"nobody" is not one of`}, {rule("who: []"), 3, "nobody"}, {rule("who:"), 3, "empty"},
		{rule("who: {}"), 3, "one of user"}, {rule("who: [[everyone]]"), 3, "text"},
		{rule("who: {user: ann, group: devs}"), 3, "any is meant"}, {rule("who: {role: x}"), 3, `"role" is not one of`},
		{rule("who: {user: }"), 3, "empty"},
		{rule("who: {user: []}"), 3, "empty"}, {rule("who: {user: ''}"), 3, "empty"},
		{rule("who:\n  - everyone\n  - user:\n    - ann\n    - 'b*'"), 7, "no patterns"},
		{rule("who: {user: '!ann'}"), 3, "no exceptions"}, {rule("who: {group: 'a*'}"), 3, "no patterns"},
		{rule("who: {claim: {}}"), 3, "none"}, {rule("who: {claim: x}"), 3, "fields"},
		{rule("who: {claim: {a: }}"), 3, "empty"}, {rule("who: {claim: {a: [b]}}"), 3, "text"},
		{rule("who: {claim: {a: '[b'}}"), 3, "class"}, {rule("who: {claim: {a: b, a: c}}"), 3, "twice"},
		{rule("who: {claim: {'': b}}"), 3, "empty"}, {rule("who: {claim: {a: '{user}'}}"), 3, "for repositories"},
		{rule("who: {claim: {a: 'repo:**'}}"), 3, "whole components"},
		{rule("repositories: []"), 4, "empty"}, {rule("repositories:"), 4, "empty"}, {rule("repositories: ''"), 4, "empty"},
		{rule("repositories: {a: b}"), 4, "text"},
		{rule("repositories:\n  - a\n  - b[\n"), 6, "class"}, {rule("repositories: 'a/'"), 4, "component is empty"},
		{rule("repositories: /a"), 4, "component is empty"},
		{rule("repositories: a//b"), 4, "component is empty"}, {rule("repositories: A/b"), 4, "'A' cannot be"},
		{rule("repositories: 'a:v*'"), 4, "':' cannot be"},
		{rule("repositories: 'team**'"), 4, "whole components"}, {rule("repositories: '{group}/**'"), 4,
			"stands for nothing"},
		{rule("repositories: '{a,{user}}/**'"), 4, "within other braces"},
		{rule("repositories: '{user}/{user}'"), 4, "more than once"}, {rule("repositories: '[{user}]'"), 4, "malformed"},
		{rule("repositories: '{a,b'"), 4, "without an end"},
		{rule("repositories: 'a}'"), 4, "without a beginning"}, {rule("repositories: 'a\\*'"), 4, "backslash"},
		{rule("repositories: '[]'"), 4, "malformed"},
		{rule("repositories: '[.-0]'"), 4, "with a slash"}, {rule("repositories: 'a[/]b'"), 4, "with a slash"},
		{rule("repositories: '" + strings.Repeat("{a,b}", 7) + "'"), 4, "alternatives"},
		{rule("repositories: '" + strings.Repeat("{a,b}", 100) + "'"), 4, "alternatives"},
		{rule("repositories: " + strings.Repeat("a", 513)), 4, "longer"}, {rule("repositories: '!a'"), 4, "exceptions"},
		{rule("repositories: '!'"), 4, "empty"},
		{rule("actions: []"), 5, "empty"}, {rule("actions:"), 5, "empty"}, {rule("actions: list"), 5, `"list" is not one`},
		{rule("actions: read"), 5, "has neither"},
		{rule("actions:\n  - pull\n  - Push"), 7, `"Push" is not one`},
		{rule("actions: catalog"), 4, "what the caller may pull"},
		{"rules:\n- who: everyone\n  actions: catalog\n  tags: v1\n", 4, "has none"},
		{"rules:\n- who: everyone\n  actions: pull\n", 2, "repositories: none"},
		{"rules:\n- who: everyone\n  repositories: a\n", 2, "actions: none"},
		{"rules:\n- who: everyone\n  actions: manage\n", 2, "repositories: none"},
		{"rules:\n- who: everyone\n  actions: '*'\n", 2, "repositories: none"},
		{"rules:\n- who: everyone\n  actions: read\n", 3, "has neither"},
		{"rules:\n- who: everyone\n  accounts: acme\n  actions: pull\n", 2, "repositories: none"},
		{"rules:\n- who: everyone\n  accounts: acme\n  actions: [read, push]\n", 2, "repositories: none"},
		{"rules:\n- who: everyone\n  accounts: acme\n  actions: catalog\n", 3, "actions is one on accounts"},
		{"rules:\n- who: everyone\n  registry: jobs\n  actions: catalog\n", 3, "actions is one on the registry"},
		{"rules:\n- who: everyone\n  registry: jobs\n  repositories: a\n  actions: read\n", 4, "one on repositories"},
		{"rules:\n- who: everyone\n  registry: [jobs, job]\n  actions: read\n", 3, `"job" is not one of`},
		{"rules:\n- who: everyone\n  registry: [jobs,\n    catalog]\n  actions: read\n", 4, "write catalog in actions"},
		{"rules:\n- who: everyone\n  registry: '!jobs'\n  actions: read\n", 3, `"!jobs" is not one of`},
		{"rules:\n- who: everyone\n  accounts: a/b\n  actions: read\n", 3, "'/' cannot be"},
		{"rules:\n- who: everyone\n  accounts: ['a*', '!']\n  actions: read\n", 3, "empty"},
		{"rules:\n- who: everyone\n  accounts: '!a'\n  actions: read\n", 3, "exceptions"},
		{"rules:\n- who: everyone\n  accounts: a\n  repositories: a\n  actions: manage\n  tags: v1\n", 6, "two rules"},
		{rule("tags: []"), 6, "empty"}, {rule("tags: '!v*'"), 6, "exceptions"},
		{rule("tags: '{user}'"), 6, "for repositories"}, {rule("tags: a/b"), 6, "'/' cannot be"},
		{rule("tags: 'v['"), 6, "class"}, {rule("effect: permit"), 7, "neither"}, {rule("effect: ''"), 7, "empty"},
		{rule("effect: [deny]"), 7, "text"},
		{rule("tags: *"), 6, "did not find"}, {rule("tags: *v"), 6, "unknown anchor"},
		{rule("tags: !v0*"), 6, "tag of YAML"}, {rule("tags: &a v1"), 6, "anchor"},
		{"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nrules: *c\n", 1, "anchor"},
		{"rules:\n- <<: {who: everyone}\n", 2, `"<<" is not one of`},
		{"rules: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), 1, "nested"},
		{"rules: " + strings.Repeat("[", 50000), 1, "depth"},
		{strings.Repeat("#\n", rules.MaxSize/2+1), rules.MaxSize/2 + 1, "more than 1048576 bytes"},
	} {
		_, err := rules.Parse([]byte(c.text))
		short := c.text[:min(len(c.text), 300)]
		require.Error(t, err, short)
		require.True(t, strings.HasPrefix(err.Error(), fmt.Sprintf("rules: line %d: ", c.line)), "%s\n%v", short, err)
		require.Contains(t, err.Error(), c.want, short)
	}
}

func TestNewErrors(t *testing.T) {
	good := rules.Rule{Who: rules.Who{Everyone: true}, Repositories: []string{"a"}, Actions: []auth.Action{auth.Pull}}
	bad := good
	bad.Actions = []auth.Action{auth.Pull, "list"}
	_, err := rules.New([]rules.Rule{good, bad})
	require.EqualError(t, err, `rules: rule 1: actions: "list" is not one of pull, push, overwrite, delete, catalog, `+
		`read, `+
		"manage and *")
	for _, change := range []func(*rules.Rule){
		func(r *rules.Rule) { r.Who = rules.Who{} },
		func(r *rules.Rule) { r.Who = rules.Who{Claims: []map[string]string{{}}} },
		func(r *rules.Rule) { r.Who = rules.Who{Users: []string{"ann", ""}} },
		func(r *rules.Rule) { r.Repositories = nil },
		func(r *rules.Rule) { r.Repositories = []string{"a", ""} },
		func(r *rules.Rule) { r.Actions = nil },
		func(r *rules.Rule) { r.Accounts = []string{"acme"} },
		func(r *rules.Rule) { r.Registry, r.Actions = []string{"x"}, []auth.Action{auth.Manage} },
		func(r *rules.Rule) { r.Tags = []string{""} },
		func(r *rules.Rule) { r.Effect = "Allow" },
	} {
		bad := good
		change(&bad)
		_, err := rules.New([]rules.Rule{bad})
		require.ErrorContains(t, err, "rule 0: ")
	}
	many := good
	many.Repositories = make([]string, 1<<12)
	for i := range many.Repositories {
		many.Repositories[i] = "{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"
	}
	_, err = rules.New([]rules.Rule{good, many})
	require.EqualError(t, err, "rules: rule 1: more than 131072 patterns")
	r, err := rules.New(nil)
	require.NoError(t, err)
	require.False(t, r.GrantsAnonymous())
}

// FuzzParse: Parse either refuses a text with a line or returns rules that decide.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("rules: [{who: {user: '{user}'}, repositories: ['{user}/**', '!{a,b}'], " +
		"actions: ['*'], tags: [a, '!b']}]"))
	f.Add([]byte("rules: [{who: everyone, accounts: ['{user}', '{user}+*', '!b'], registry: [jobs, '*'], " +
		"actions: [read, manage]}]"))
	f.Add([]byte("a: &a [*a]\n---\n!!x"))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := rules.Parse(content)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "rules: line ") {
				t.Fatal(err)
			}
			return
		}
		for _, who := range []auth.Identity{{}, {Name: "ann", Groups: []string{"ops"}}} {
			for _, a := range []auth.Action{auth.Pull, auth.Delete} {
				err := r.Authorize(context.Background(), who,
					[]auth.Access{{Type: auth.TypeRepository, Name: "ann/a", Action: a, Tag: "v1"}})
				if err == nil && !below(r.Prefixes(context.Background(), who), "ann/a") {
					t.Fatal("allowed below no prefix")
				}
			}
		}
	})
}
