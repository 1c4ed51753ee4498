package pattern_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/internal/pattern"
)

// matches reports whether patterns select a name. Package rules tests the syntax itself, against a slow
// implementation.
func matches(t *testing.T, k pattern.Kind, texts []string, name, user string) bool {
	ps, i, err := k.Compile(texts)
	require.NoError(t, err)
	require.Equal(t, -1, i)
	s := pattern.NewSubject(name, user)
	return ps.Match(&s)
}

func TestMatch(t *testing.T) {
	r := pattern.Repository
	require.True(t, matches(t, r, []string{"app/**"}, "app", ""))
	require.True(t, matches(t, r, []string{"app/**"}, "app/a/b", ""))
	require.False(t, matches(t, r, []string{"app/**"}, "apps", ""))
	require.False(t, matches(t, r, []string{"app/*"}, "app/a/b", ""))
	require.False(t, matches(t, r, []string{"app/[^x]b"}, "app//b", ""), "a class matches no slash")
	require.False(t, matches(t, r, []string{"**", "!app/**"}, "app/a", ""))
	require.True(t, matches(t, r, []string{"{user}/**"}, "ann/a", "ann"))
	require.False(t, matches(t, r, []string{"{user}/**"}, "ann/a", ""), "no name matches {user}")
	require.True(t, matches(t, pattern.Claim, []string{"repo:acme/*:ref:*"}, "repo:acme/app:ref:main", ""))
	require.True(t, matches(t, pattern.Account, []string{"acme", "acme+*"}, "acme+deploy", ""))
	require.False(t, matches(t, pattern.Account, []string{"acme+*"}, "acme", ""))
	require.True(t, matches(t, pattern.Account, []string{"{user}+*"}, "ann+bot", "ann"))
	var none pattern.Patterns
	s := pattern.NewSubject("app", "")
	require.False(t, none.Match(&s))
	require.Zero(t, none.Cost())
}

func TestCompileRefuses(t *testing.T) {
	for _, bad := range []string{"", "!", "/a", "a//b", "a/", "a**", "[a", "[a/b]", "{a", "a}", "{a}", `\a`, "A", "a b",
		"{user}{user}", "{a,{user}}", strings.Repeat("{a,b}", 7), strings.Repeat("a", 513)} {
		_, i, err := pattern.Repository.Compile([]string{"a", bad})
		require.Error(t, err, "%q", bad)
		require.Equal(t, 1, i, "%q", bad)
	}
	_, i, err := pattern.Repository.Compile([]string{"!a"})
	require.Error(t, err, "nothing but exceptions")
	require.Equal(t, -1, i)
	for _, k := range []pattern.Kind{pattern.Tag, pattern.Claim} {
		_, _, err := k.Compile([]string{"{user}"})
		require.Error(t, err)
	}
}

func TestPropertiesOfPatterns(t *testing.T) {
	ps, _, err := pattern.Repository.Compile([]string{"{a,b}/x", "{user}/**", "!c"})
	require.NoError(t, err)
	require.Equal(t, 4, ps.Len())
	require.True(t, ps.User())
	require.False(t, ps.All())
	require.Equal(t, []string{"a/x", "b/x", "ann"}, ps.AppendPrefixes(nil, "ann"))
	require.Equal(t, []string{"a/x", "b/x"}, ps.AppendPrefixes(nil, ""))
	all, _, err := pattern.Repository.Compile([]string{"**"})
	require.NoError(t, err)
	require.True(t, all.All())
	require.Less(t, all.Cost(), ps.Cost())
}
