package rules_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
)

func TestList(t *testing.T) {
	rule := rules.Rule{Name: "pulls", Who: rules.Who{Everyone: true}, Repositories: []string{"**"},
		Actions: []auth.Action{auth.Pull}}
	r, err := rules.New([]rules.Rule{rule})
	require.NoError(t, err)
	list, text := r.List(t.Context())
	require.Equal(t, []rules.Listed{{Text: "rule 0: pulls", Rule: rule}}, list)
	require.Empty(t, text)

	const file = "rules:\n- name: pulls\n  who: everyone\n  repositories: \"**\"\n  actions: pull\n"
	r, err = rules.Parse([]byte(file))
	require.NoError(t, err)
	list, text = r.List(t.Context())
	require.Equal(t, []rules.Listed{{Text: "line 2: pulls", Rule: rule}}, list)
	require.Equal(t, file, text)
	list[0].Text = "changed"
	again, _ := r.List(t.Context())
	require.Equal(t, "line 2: pulls", again[0].Text)
}
