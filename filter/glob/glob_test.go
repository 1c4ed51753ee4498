package glob_test

import (
	"fmt"
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
		{[]string{"*"}, []string{"a:b"}, []string{"a/b:c"}},
		{[]string{"a/**"}, []string{"a/b:c", "a/b/c:d", "a:b"}, []string{"ab:c", "b/a:c"}},
		{[]string{"**/prod"}, []string{"prod:x", "a/b/prod:x"}, []string{"a/prod/b:x"}},
		{[]string{"**:v*"}, []string{"a/b:v1", "a:v"}, []string{"a:1v", "v1:latest"}},
		{[]string{"**:{v*,release-[0-9]}"}, []string{"a:v2", "a:release-7"}, []string{"a:release-x"}},
		{[]string{"!**:latest", "**"}, []string{"a:v1"}, []string{"a:latest"}},
		{[]string{"lib/*:v*", "!lib/scratch", "app:*", "!**:v0.*"}, []string{"lib/a:v1", "app:x"}, []string{"lib/scratch:v1", "lib/a:v0.1", "app:v0.1", "b:v1"}},
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
	for _, p := range []string{"", "!", ":v1", "a:", "a[:b", "a:{b", "!a:[", "localhost:5000/a", "localhost:5000/a:v*", "a:v1:v2", "!a:b/c"} {
		_, err := glob.Tags("ok", p)
		require.Error(t, err, "%q", p)
	}
}

// Releases are protected, but for those of one repository.
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
