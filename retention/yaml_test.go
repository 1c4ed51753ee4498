package retention_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/retention"
)

// TestRefusedRules: each mistake is refused, with its file and line.
func TestRefusedRules(t *testing.T) {
	long := strings.Repeat("x", 101)
	for _, c := range []struct{ text, want string }{
		{"", `f.yaml:1: it is empty; "rules: []" lets everything stay`},
		{"- a", `f.yaml:1: this must have fields: ["rules"]`},
		{"rule: []", `f.yaml:1: "rule" is not one of ["rules"]`},
		{"rules:", "f.yaml:1: no list of rules"},
		{"rules: {}", "f.yaml:1: no list of rules"},
		{"rules:\n- x", `f.yaml:2: this must have fields: ["name" "repositories" "tags" "untagged" "if" "keep"]`},
		{"rules: []\nrules: []", `f.yaml:2: "rules" occurs twice`},
		{"rules: [{name: r, keep: &a all}]", "f.yaml:1: an anchor: a text that begins with & stands in quotes"},
		{"rules:\n- {keep: all}", "f.yaml:2: a rule without a name: plans say by which rule something goes"},
		{"rules:\n- {name: '', keep: all}", "f.yaml:2: a name has 1 to 100 bytes, in one line, without spaces around it"},
		{"rules:\n- {name: ' r', keep: all}", "f.yaml:2: a name has 1 to 100 bytes, in one line, without spaces around it"},
		{"rules:\n- {name: " + long + ", keep: all}",
			"f.yaml:2: a name has 1 to 100 bytes, in one line, without spaces around it"},
		{"rules:\n- {name: \"a\\eb\", keep: all}",
			"f.yaml:2: a name has 1 to 100 bytes, in one line, without spaces around it"},
		{"rules:\n- {name: [r], keep: all}", "f.yaml:2: this must be a text"},
		{"rules:\n- name: r",
			`f.yaml:2: a rule without keep: it says what stays, such as "keep: all" or "keep: {newest: 10}"`},
		{"rules:\n- {name: r, keep: some}",
			`f.yaml:2: "some" is neither "all" nor "none", nor fields such as {newest: 10}`},
		{"rules:\n- {name: r, keep: {}}", `f.yaml:2: this is empty; "keep: none" lets everything go that the rule covers`},
		{"rules:\n- {name: r, keep: }", "f.yaml:2: this is empty"},
		{"rules:\n- {name: r, keep: [all]}", "f.yaml:2: this must be a text"},
		{"rules:\n- {name: r, keep: all, tag: [x]}",
			`f.yaml:2: "tag" is not one of ["name" "repositories" "tags" "untagged" "if" "keep"]`},
		{"rules:\n- name: r\n  keep: all\n  tags: ['']", `f.yaml:4: pattern "": empty`},
		{"rules:\n- name: r\n  keep: all\n  tags: []", "f.yaml:4: this is empty"},
		{"rules:\n- name: r\n  keep: all\n  tags:", "f.yaml:4: this is empty"},
		{"rules:\n- name: r\n  keep: all\n  tags: ['!']", `f.yaml:4: pattern "!": empty`},
		{"rules:\n- name: r\n  keep: all\n  tags:\n  - ok\n  - '[a'", `f.yaml:6: pattern "[a": malformed`},
		{"rules:\n- name: r\n  keep: all\n  tags: [app/v1]", `f.yaml:4: pattern "app/v1": a tag has none of ":/"`},
		{"rules:\n- name: r\n  keep: all\n  repositories: [Team]",
			`f.yaml:4: pattern "Team": upper-case letter 'T', which no repository has`},
		{"rules:\n- name: r\n  keep: all\n  repositories: ['team/app:v1']",
			`f.yaml:4: pattern "team/app:v1": the name of a repository has none of ":"`},
		{"rules:\n- {name: r, keep: {newest: 0}}", `f.yaml:2: "0" is not a number above zero`},
		{"rules:\n- {name: r, keep: {newest: -1}}", `f.yaml:2: "-1" is not a number above zero`},
		{"rules:\n- {name: r, keep: {newest: 1.5}}", `f.yaml:2: "1.5" is not a number above zero`},
		{"rules:\n- {name: r, keep: {versions: 9999999999}}", `f.yaml:2: "9999999999" is not a number above zero`},
		{"rules:\n- {name: r, keep: {youngerThan: 0}}", "f.yaml:2: this must be above zero"},
		{"rules:\n- {name: r, keep: {youngerThan: -1d}}",
			`f.yaml:2: "-1d": this must be a duration, such as 90s, 12h or 30d`},
		{"rules:\n- {name: r, keep: {youngerThan: 30}}",
			`f.yaml:2: "30": this must be a duration, such as 90s, 12h or 30d`},
		{"rules:\n- {name: r, keep: {olderThan: 1d}}",
			`f.yaml:2: "olderThan" is not one of ["newest" "versions" "per" "group" ` +
				`"youngerThan" "pulledWithin" "labels" "annotations" "platforms" "artifactTypes" "signed" "referenced"]`},
		{"rules:\n- {name: r, keep: {newest: 1, versions: 1}}",
			"f.yaml:2: either newest or versions: make two rules of it"},
		{"rules:\n- {name: r, keep: {per: minor, signed: true}}",
			"f.yaml:2: per needs newest or versions: how many of each version?"},
		{"rules:\n- {name: r, keep: {group: '(a)', signed: true}}",
			"f.yaml:2: group needs newest or versions: how many of each group?"},
		{"rules:\n- {name: r, keep: {newest: 1, per: week}}", `f.yaml:2: "week" is not one of ["major" "minor" "patch"]`},
		{"rules:\n- {name: r, keep: {newest: 1, group: ''}}", "f.yaml:2: this is empty"},
		{"rules:\n- {name: r, keep: {newest: 1, group: '('}}",
			"f.yaml:2: regular expression: error parsing regexp: missing closing ): `(`"},
		{"rules:\n- {name: r, keep: {newest: 1, group: 'a.*'}}",
			`f.yaml:2: parentheses must enclose the part that names the group, as in '^(.*)-[0-9a-f]+$'`},
		{"rules:\n- {name: r, keep: {newest: 1, group: '(" + strings.Repeat("a", 512) + ")'}}",
			"f.yaml:2: longer than 512 bytes"},
		{"rules:\n- {name: r, keep: {signed: maybe}}", `f.yaml:2: "maybe" is neither true nor false`},
		{"rules:\n- {name: r, keep: all, if: {}}", "f.yaml:2: this is empty"},
		{"rules:\n- {name: r, keep: all, if: {newest: 3}}",
			`f.yaml:2: "newest" is not one of ["youngerThan" "olderThan" "pulledWithin" ` +
				`"notPulledWithin" "labels" "annotations" "platforms" "artifactTypes" "signed" "referenced"]`},
		{"rules:\n- {name: r, keep: all, if: {labels: {}}}", "f.yaml:2: this is empty"},
		{"rules:\n- {name: r, keep: all, if: {labels: {'': x}}}", "f.yaml:2: the name is empty"},
		{"rules:\n- {name: r, keep: all, if: {labels: {a: ''}}}", `f.yaml:2: pattern "": empty`},
		{"rules:\n- {name: r, keep: all, if: {labels: [a]}}", "f.yaml:2: this must have fields: []"},
		{"rules:\n- {name: r, keep: all, if: {platforms: linux}}",
			`f.yaml:2: platform "linux": it must be "os/architecture" or "os/architecture/variant"`},
		{"rules:\n- {name: r, keep: all, if: {artifactTypes: ['']}}", `f.yaml:2: pattern "": empty`},
		{"rules:\n- {name: r, keep: none, if: {olderThan: 2d, youngerThan: 1d}}",
			"f.yaml:2: nothing is older than 2d and younger than 1d"},
		{"rules:\n- {name: r, keep: none, if: {pulledWithin: 1d, notPulledWithin: 1d}}",
			"f.yaml:2: nothing was pulled within 1d and not within 1d"},
		{"rules:\n- {name: r, keep: {youngerThan: 1d}, if: {olderThan: 1d}}",
			"f.yaml:2: nothing that is older than 1d is younger than 1d"},
		{"rules:\n- {name: r, keep: {pulledWithin: 1d}, if: {notPulledWithin: 1d}}",
			"f.yaml:2: nothing that was not pulled within 1d was pulled within 1d"},
		{"rules:\n- {name: r, keep: {youngerThan: 2d}, if: {youngerThan: 1d}}",
			`f.yaml:2: everything that is younger than 1d is younger than 2d: "keep: all" says the same`},
		{"rules:\n- {name: r, keep: {signed: true}, if: {signed: false}}",
			"f.yaml:2: this cannot hold: the rule covers only what is the opposite"},
		{"rules:\n- {name: r, keep: all, untagged: false}",
			"f.yaml:2: rules are about tags unless this is true; leave it out"},
		{"rules:\n- {name: r, keep: all, untagged: true, tags: x}",
			"f.yaml:2: a rule about untagged manifests has no patterns of tags"},
		{"rules:\n- {name: r, keep: {versions: 1}, untagged: true}",
			"f.yaml:2: untagged manifests have no versions and groups"},
		{"rules:\n- {name: r, keep: {newest: 1, group: (a)}, untagged: true}",
			"f.yaml:2: untagged manifests have no versions and groups"},
		{"rules:\n- {name: r, keep: {referenced: true}, untagged: true}",
			"f.yaml:2: untagged manifests are those that no other manifest names: leave referenced out"},
		{"rules:\n- {name: r, keep: all, if: {referenced: true}, untagged: true}",
			"f.yaml:2: untagged manifests are those that no other manifest names: leave referenced out"},
		{"rules:\n- {name: r, keep: all, tags: x}\n- {name: r, keep: all}", `f.yaml:3: a second rule with the name "r"`},
		{"rules:\n- {name: r, keep: {newest: 1}}\n- {name: s, keep: all}",
			`f.yaml:3: this rule decides about nothing, because rule "r" covers everything before it`},
		{"rules: [" + strings.Repeat("x,", 1001) + "]", "f.yaml:1: more than 1000 rules"},
		{strings.Repeat("#", retention.MaxRulesSize+1), "f.yaml:1: more than 1048576 bytes"},
	} {
		_, err := retention.Parse("f.yaml", []byte(c.text))
		require.EqualError(t, err, "retention: "+c.want, "%.100s", c.text)
	}
}

// TestAcceptedRules: what looks similar and is right.
func TestAcceptedRules(t *testing.T) {
	for _, text := range []string{
		"rules: []",
		"rules:\n- {name: r, keep: {newest: 1}}\n- {name: s, keep: all, untagged: true}",
		"rules:\n- {name: r, keep: {versions: 1}}\n- {name: s, keep: all}",
		"rules:\n- {name: r, keep: {newest: 1, group: (a)}}\n- {name: s, keep: all}",
		"rules:\n- {name: r, keep: all, if: {signed: true}}\n- {name: s, keep: none}",
		"rules:\n- {name: r, keep: none, if: {pulledWithin: 10d, notPulledWithin: 5d}}",
	} {
		r, err := retention.Parse("f.yaml", []byte(text))
		require.NoError(t, err, text)
		require.Equal(t, text, r.Text())
		require.Equal(t, "f.yaml", r.Name())
	}
	r, err := retention.Parse("f", []byte("rules:\n- {name: b, tags: x, keep: all}\n- {name: a b, keep: all}"))
	require.NoError(t, err)
	require.Equal(t, []string{"b", "a b"}, r.Names())
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retain.yaml")
	_, err := retention.Load(path)
	require.ErrorContains(t, err, path)
	require.NoError(t, os.WriteFile(path, []byte("rules:\n- x\n"), 0o600))
	_, err = retention.Load(path)
	require.ErrorContains(t, err, path+":2: ")
	require.NoError(t, os.WriteFile(path, []byte("rules: []\n"), 0o600))
	r, err := retention.Load(path)
	require.NoError(t, err)
	require.Empty(t, r.Names())
}
