package accounts

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	authrules "github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/reference"
)

func TestGrantsThatAreRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "empty", "!a": "exceptions", `a\*`: "backslash", "{user}/a": "{user}", "/a": "component", "a/": "component",
		"a//b": "component", "a**": "beside other characters", "a/**b": "beside other characters", "[": "without an end",
		"App": "cannot be", "a{b": "without an end", strings.Repeat("a", 256): "longer",
	} {
		err := checkGrants([]Grant{{"ok", Read}, {pattern, Read}})
		require.ErrorIs(t, err, ErrInvalid, pattern)
		require.ErrorContains(t, err, "grant 1")
		require.ErrorContains(t, err, want)
		require.Less(t, len(err.Error()), 300)
	}
	for _, role := range []Role{"", "owner", "READ", "delete"} {
		require.ErrorIs(t, checkGrants([]Grant{{"**", role}}), ErrInvalid, role)
	}
	require.NoError(t, checkGrants(make100()))
	require.ErrorIs(t, checkGrants(append(make100(), Grant{"a", Read})), ErrInvalid)
	require.NoError(t, checkGrants(nil))
}

func make100() []Grant {
	all := make([]Grant, 100)
	for i := range all {
		all[i] = Grant{fmt.Sprintf("app%d/**", i), Write}
	}
	return all
}

// FuzzGrant: a pattern that is accepted means the same as in package rules.
func FuzzGrant(f *testing.F) {
	for _, p := range []string{"**", "app", "app/**", "*/x", "a{b,c}?/[a-z]*", "a/**/b", "**/x", "a*", "app/*"} {
		for _, name := range []string{"app", "app/x", "app/x/y", "apple", "ab1/zz", "a/b", "x"} {
			f.Add(p, name)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if checkGrants([]Grant{{pattern, Read}}) != nil || reference.CheckName(name) != nil {
			return
		}
		g := Grant{pattern, Read}
		r, err := authrules.New([]authrules.Rule{{Who: authrules.Who{Everyone: true}, Repositories: []string{pattern},
			Actions: []auth.Action{auth.Pull}}})
		require.NoError(t, err)
		err = r.Authorize(t.Context(), auth.Identity{},
			[]auth.Access{{Type: auth.TypeRepository, Name: name, Action: auth.Pull}})
		require.Equal(t, err == nil, g.matches(name), "%q %q", pattern, name)
	})
}
