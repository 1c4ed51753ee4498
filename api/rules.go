package api

import (
	"cmp"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
)

// readRules is the access to the rules, and to explanations about any caller.
var readRules = auth.Access{Type: auth.TypeRegistry, Name: auth.NameRules, Action: auth.Read}

// ruleRoutes are the routes of the part rules.
func (a *API) ruleRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/rules", access: needs(readRules.Type, readRules.Name, readRules.Action),
			handle: a.listRules},
	}
}

func (a *API) listRules(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	listed, text := a.opts.Rules.List(q.Context())
	list := types.RuleList{Items: []types.Rule{}, Text: text}
	for _, r := range listed {
		list.Items = append(list.Items, ruleOf(&r))
	}
	return &response{body: list}, nil
}

// ruleOf returns a rule as the API shows it.
func ruleOf(l *rules.Listed) types.Rule {
	r, who := &l.Rule, &l.Rule.Who
	t := types.Rule{Name: l.Text, Effect: string(cmp.Or(r.Effect, rules.Allow)), Repositories: r.Repositories,
		Accounts: r.Accounts, Registry: r.Registry, Tags: r.Tags, Actions: []string{},
		Who: types.RuleWho{Users: who.Users, Groups: who.Groups, Claims: who.Claims, Anonymous: who.Anonymous,
			Authenticated: who.Authenticated, Everyone: who.Everyone}}
	for _, action := range r.Actions {
		t.Actions = append(t.Actions, string(action))
	}
	return t
}
