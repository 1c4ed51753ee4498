package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
)

func TestRules(t *testing.T) {
	c := newContentSite(t)
	var list types.RuleList
	c.do(t, "boss", "GET", "/v1/rules", nil).want(200).into(&list)
	require.Equal(t, someRules, list.Text)
	require.Equal(t, []types.Rule{{Name: "line 2: releases stay", Effect: "deny", Repositories: []string{"**"},
		Actions: []string{"overwrite", "delete"}, Tags: []string{"v*"}, Who: types.RuleWho{Groups: []string{"acme"},
			Claims: []map[string]string{{"sub": "repo:acme/*"}}}}}, list.Items)
	c.do(t, "ann", "GET", "/v1/rules", nil).fails(403, "DENIED")
}

// TestNoRules: without a file of rules, there are no routes about it, and explanations remain.
func TestNoRules(t *testing.T) {
	s := newSite(t, nil)
	s.do(t, "boss", "GET", "/v1/rules", nil).fails(404, "NOT_FOUND")
	s.do(t, "boss", "POST", "/v1/rules/explain", pull("acme/app")).want(200)
}

// pull asks whether the caller may pull from a repository.
func pull(repo string) types.ExplainRequest {
	return types.ExplainRequest{Accesses: []types.Access{{Type: "repository", Name: repo, Action: "pull"}}}
}

func TestExplain(t *testing.T) {
	c := newContentSite(t)
	explain := func(user string, ask types.ExplainRequest) types.Explanation {
		t.Helper()
		var e types.Explanation
		c.do(t, user, "POST", "/v1/rules/explain", ask).want(200).into(&e)
		return e
	}
	access := types.Access{Type: "repository", Name: "acme/app", Action: "pull"}
	require.Equal(t, types.Explanation{Name: "ann", Account: true, Groups: []string{"acme", "acme/owners"}, Allowed: true,
		Accesses: []types.AccessDecision{{Access: access, Allowed: true, Rule: "accounts: an owner of acme"}},
	}, explain("ann", pull("acme/app")))
	require.Equal(t, types.Explanation{Name: "bob", Account: true, Groups: []string{},
		Accesses: []types.AccessDecision{{Access: access}}}, explain("bob", pull("acme/app")))

	others := pull("acme/app")
	others.Account = "ann"
	require.Equal(t, "accounts: an owner of acme", explain("boss", others).Accesses[0].Rule)
	for _, name := range []string{"ann", "none", "acme"} {
		others.Account = name
		c.do(t, "bob", "POST", "/v1/rules/explain", others).fails(403, "DENIED")
	}
	others.Account = "none"
	c.do(t, "boss", "POST", "/v1/rules/explain", others).fails(404, "NOT_FOUND")
	others.Account = "acme" // nobody can log in as an organisation
	c.do(t, "boss", "POST", "/v1/rules/explain", others).fails(404, "NOT_FOUND")
	user, err := c.people.Lookup(t.Context(), "ann")
	require.NoError(t, err)
	_, err = c.people.Disable(t.Context(), accounts.Actor{}, user.ID)
	require.NoError(t, err)
	others.Account = "ann"
	disabled := explain("boss", others)
	require.False(t, disabled.Allowed)
	require.NotEmpty(t, disabled.Accesses[0].Rule)

	job := pull("acme/app")
	job.Name, job.Groups = "ci", []string{"acme"}
	require.False(t, explain("boss", job).Allowed)
	require.False(t, explain("boss", job).Account)
	job = pull("acme/app")
	job.Anonymous = true
	require.Empty(t, explain("boss", job).Name)
	c.do(t, "", "POST", "/v1/rules/explain", pull("acme/app")).fails(401, "UNAUTHORIZED")
	for _, wrong := range []string{
		`{}`, `{"accesses":[]}`, `{"accesses":[{"type":"x","name":"a","action":"pull"}]}`,
		`{"accesses":[{"type":"repository","name":"a","action":"x"}]}`,
		`{"accesses":[{"type":"account","name":"","action":"read"}]}`,
		`{"accesses":[{"type":"account","name":"a","action":"read","tag":"x"}]}`,
		`{"anonymous":true,"name":"x","accesses":[{"type":"account","name":"a","action":"read"}]}`,
		`{"groups":["x"],"accesses":[{"type":"account","name":"a","action":"read"}]}`,
	} {
		c.do(t, "boss", "POST", "/v1/rules/explain", wrong).fails(400, "INVALID")
	}
	c.do(t, "boss", "POST", "/v1/rules/explain", pull("A")).fails(400, "NAME_INVALID")
}

// TestExplainRules: the decision of a rule is explained by the very Authorizer of the registry.
func TestExplainRules(t *testing.T) {
	refine, err := rules.Parse([]byte(someRules))
	require.NoError(t, err)
	c := newContentSite(t, refine)
	var e types.Explanation
	c.do(t, "ann", "POST", "/v1/rules/explain", types.ExplainRequest{Accesses: []types.Access{
		{Type: "repository", Name: "acme/app", Action: "overwrite", Tag: "v1"},
		{Type: "repository", Name: "acme/app", Action: "overwrite", Tag: "latest"},
		{Type: "account", Name: "acme", Action: "manage"},
		{Type: "registry", Name: "audit", Action: "read"},
	}}).want(200).into(&e)
	require.False(t, e.Allowed)
	require.False(t, e.Accesses[0].Allowed)
	require.Contains(t, e.Accesses[0].Rule, "releases stay")
	require.True(t, e.Accesses[1].Allowed)
	require.True(t, e.Accesses[2].Allowed)
	require.False(t, e.Accesses[3].Allowed)
}
