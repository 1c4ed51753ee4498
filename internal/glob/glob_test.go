package glob_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/glob"
)

func TestListSelects(t *testing.T) {
	for name, row := range map[string]struct {
		patterns []string
		in, out  []string
	}{
		"no patterns":     {nil, []string{"a", "a/b", ""}, nil},
		"patterns":        {[]string{"a", "b/*"}, []string{"a", "b/c"}, []string{"b", "b/c/d", "ab", ""}},
		"exceptions only": {[]string{"!a/**"}, []string{"b", ""}, []string{"a", "a/b/c"}},
		"both":            {[]string{"!a/b", "a/**"}, []string{"a", "a/c"}, []string{"a/b", "b"}},
		"everything":      {[]string{"**"}, []string{"a", "a/b/c"}, []string{""}},
		"empty match":     {[]string{"*"}, []string{"a"}, []string{"", "a/b"}},
		"alternatives":    {[]string{"{a,b}[0-9]?"}, []string{"a1x"}, []string{"c1x", "a1"}},
		"literal mark":    {[]string{`\!a`}, []string{"!a"}, []string{"a"}},
		"double mark":     {[]string{"!!a"}, []string{"a"}, []string{"!a"}},
	} {
		t.Run(name, func(t *testing.T) {
			l, i, err := glob.NewList(row.patterns)
			require.NoError(t, err)
			require.Equal(t, -1, i)
			for _, s := range row.in {
				require.True(t, l.Selects(s), "%q", s)
			}
			for _, s := range row.out {
				require.False(t, l.Selects(s), "%q", s)
			}
		})
	}
}

func TestNewListMistakesHaveAnIndex(t *testing.T) {
	for _, bad := range []string{"", "!", "[", "{a", strings.Repeat("a", 513), strings.Repeat("{a,b}", 7), "[{]"} {
		_, i, err := glob.NewList([]string{"a", bad, "["})
		require.Error(t, err, "%q", bad)
		require.Equal(t, 1, i)
		require.Less(t, len(err.Error()), 200)
	}
}

// FuzzSelects: a list that is accepted matches any name without a panic, and a list with the same
// pattern as an exception selects the other names.
func FuzzSelects(f *testing.F) {
	f.Add("a/**/{b,c}[0-9]?", "a/x/b1y")
	f.Add("*", "a/b")
	f.Add(strings.Repeat("*a", 250), strings.Repeat("a", 255))
	f.Fuzz(func(t *testing.T, pattern, name string) {
		in, _, err := glob.NewList([]string{pattern})
		if err != nil || strings.HasPrefix(pattern, "!") || name == "" || len(name) > 255 {
			return
		}
		out, _, err := glob.NewList([]string{"!" + pattern})
		require.NoError(t, err)
		require.Equal(t, in.Selects(name), !out.Selects(name))
	})
}

func TestNewRepositoriesRefusesUpperCase(t *testing.T) {
	_, i, err := glob.NewRepositories([]string{"acme/**", "!ACME/app"})
	require.Error(t, err)
	require.Equal(t, 1, i)
	_, _, err = glob.NewRepositories([]string{"acme/[A-Za-z]*"})
	require.NoError(t, err)
	_, _, err = glob.NewList([]string{"V1"}) // of tags
	require.NoError(t, err)
}
