package glob_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/filter/glob"
)

func TestTags(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		in, out  []string // repository:tag
	}{
		{[]string{"**"}, []string{"a:b", "a/b/c:latest"}, nil},
		{[]string{"[!A-Z]*:V[A-Z]"}, []string{"a:VX"}, []string{"a:vx"}},
		{[]string{"*"}, []string{"a:b"}, []string{"a/b:c"}},
		{[]string{"a/**"}, []string{"a/b:c", "a/b/c:d", "a:b"}, []string{"ab:c", "b/a:c"}},
		{[]string{"**/prod"}, []string{"prod:x", "a/b/prod:x"}, []string{"a/prod/b:x"}},
		{[]string{"**:v*"}, []string{"a/b:v1", "a:v"}, []string{"a:1v", "v1:latest"}},
		{[]string{"**:{v*,release-[0-9]}"}, []string{"a:v2", "a:release-7"}, []string{"a:release-x"}},
		{[]string{"!**:latest", "**"}, []string{"a:v1"}, []string{"a:latest"}},
		{[]string{"lib/*:v*", "!lib/scratch", "app:*", "!**:v0.*"}, []string{"lib/a:v1", "app:x"},
			[]string{"lib/scratch:v1", "lib/a:v0.1", "app:v0.1", "b:v1"}},
		{nil, nil, []string{"a:b"}},
	} {
		protects, err := glob.Tags(c.patterns...)
		require.NoError(t, err)
		match := func(s string) bool {
			var repo, tag string
			for i := range s {
				if s[i] == ':' {
					repo, tag = s[:i], s[i+1:]
				}
			}
			f := protects(repo)
			return f != nil && f(tag)
		}
		for _, s := range c.in {
			require.True(t, match(s), "%v %s", c.patterns, s)
		}
		for _, s := range c.out {
			require.False(t, match(s), "%v %s", c.patterns, s)
		}
	}
	protects, err := glob.Tags("a/*:v*")
	require.NoError(t, err)
	require.Nil(t, protects("b"), "nothing to look at in that repository")
	for _, p := range []string{"", "!", ":v1", "a:", "a[:b", "a:{b", "!a:[", "localhost:5000/a", "localhost:5000/a:v*",
		"a:v1:v2", "!a:b/c", "A/b", "!a/**B:v1", "{a,B}"} {
		_, err := glob.Tags("ok", p)
		require.Error(t, err, "%q", p)
	}
}

// TestTagsPatternTooCostlyRefused checks that patterns with too many alternatives are rejected,
// because groups of braces multiply the time to match.
func TestTagsPatternTooCostlyRefused(t *testing.T) {
	groups := func(n int) string { return strings.Repeat("{a,b}", n) }
	for pattern, want := range map[string]string{
		groups(16):                           "more than 64 alternatives",
		"!" + groups(16):                     "more than 64 alternatives",
		"**:" + groups(16):                   "more than 64 alternatives",
		groups(7):                            "more than 64 alternatives",
		"{x,{y," + groups(7) + "}}":          "more than 64 alternatives",
		groups(6) + "{c}{d}{,e}":             "more than 64 alternatives",
		groups(100):                          "more than 64 alternatives",
		"{" + strings.Repeat("a,", 64) + "}": "more than 64 alternatives",
		strings.Repeat("a", 513):             "longer than 512 bytes",
		strings.Repeat("{", 1_000_000):       "longer than 512 bytes",
		`[{]` + groups(2) + "," + groups(2):  "class contains a brace or a comma",
		`a:{[a,b],c}`:                        "class contains a brace or a comma",
		`[\]{]`:                              "class contains a brace or a comma",
	} {
		_, err := glob.Tags("ok", pattern)
		require.ErrorContains(t, err, want, pattern[:min(100, len(pattern))])
		require.Less(t, len(err.Error()), 400)
	}
	for pattern, name := range map[string]string{
		groups(6):                               "ababab",
		groups(6) + "{c}{d}":                    "abababcd",
		"{" + groups(5) + "," + groups(5) + "}": "bbbbb",
		"{" + strings.Repeat("a,", 63) + "b}":   "b",
		`\{a,b\}`:                               "{a,b}",
		strings.Repeat("a", 512):                strings.Repeat("a", 512),
	} {
		protects, err := glob.Tags(pattern)
		require.NoError(t, err, pattern)
		require.NotNil(t, protects(name), pattern)
	}
}

// All release tags are protected, except those of one repository.
func ExampleTags() {
	protects, err := glob.Tags("apps/**:v*", "!apps/scratch")
	if err != nil {
		fmt.Println(err)
		return
	}
	shop := protects("apps/shop")
	fmt.Println(shop("v1.2"), shop("latest"))
	fmt.Println(protects("apps/scratch")("v1.2"))
	fmt.Println(protects("tools") == nil)
	// Output:
	// true false
	// false
	// true
}
