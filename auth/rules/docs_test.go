package rules_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
)

var (
	section = regexp.MustCompile("(?s)\n## ([^\n]+)\n\n```yaml\n(.*?)```\n\n" +
		"\\| who \\| what \\| allowed \\|\n\\|---\\|---\\|---\\|\n(.*?)\n\n")
	quoted = regexp.MustCompile("`([^`]+)`")
)

// TestDocs: the rules in docs/access.md decide as the tables beside them say.
func TestDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/access.md")
	require.NoError(t, err)
	sections := section.FindAllStringSubmatch(string(page), -1)
	require.Len(t, sections, strings.Count(string(page), "```yaml"), "each has a table")
	require.Len(t, sections, 5)
	for _, s := range sections {
		title, lines := s[1], strings.Split(s[3], "\n")
		require.LessOrEqual(t, strings.Count(s[2], "\n"), 13, title)
		r, err := rules.Parse([]byte(s[2]))
		require.NoError(t, err, title)
		require.GreaterOrEqual(t, len(lines), 10, title)
		for _, line := range lines {
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			require.Len(t, cells, 3, line)
			_, err := r.Explain(t.Context(), caller(t, cells[0]), accesses(t, cells[1]))
			require.Contains(t, []string{"yes", "no"}, cells[2])
			require.Equal(t, cells[2] == "yes", err == nil, "%s: %s", title, line)
		}
	}
}

// caller parses a caller of a table: anonymous, `NAME`, `NAME` in `GROUP`, `NAME` with `KEY=VALUE`
// `KEY=VALUE`.
func caller(t *testing.T, cell string) auth.Identity {
	if cell == "anonymous" {
		return auth.Identity{}
	}
	words := quoted.FindAllStringSubmatch(cell, -1)
	require.NotEmpty(t, words, cell)
	who := auth.Identity{Name: words[0][1], Claims: map[string]any{}}
	for _, w := range words[1:] {
		if key, value, ok := strings.Cut(w[1], "="); ok {
			who.Claims[key] = value
		} else {
			who.Groups = append(who.Groups, w[1])
		}
	}
	return who
}

// accesses returns the accesses that the registry asks for in the operation of a row.
func accesses(t *testing.T, cell string) []auth.Access {
	if cell == "list the repositories" {
		return []auth.Access{{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All}}
	}
	verb, object, _ := strings.Cut(strings.Trim(cell, "`"), " `")
	if kind, name, ok := strings.Cut(object, " "); ok {
		return []auth.Access{{Type: kind, Name: name, Action: auth.Action(verb)}}
	}
	repo, tag, _ := strings.Cut(object, ":")
	a := auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Action(verb), Tag: tag}
	push, pushTag := a, a
	push.Action, push.Tag, pushTag.Action = auth.Push, "", auth.Push
	switch a.Action {
	case auth.Pull, auth.Delete:
		return []auth.Access{a}
	case auth.Push:
		return []auth.Access{push, a}
	case auth.Overwrite:
		return []auth.Access{push, pushTag, a}
	}
	require.Fail(t, cell)
	return nil
}
