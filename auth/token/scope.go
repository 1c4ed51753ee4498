package token

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// Limits of a request for a token.
const (
	maxScopes  = 512
	maxScope   = 1024 // bytes
	maxActions = 8
)

// scope is a requested scope, such as "repository:library/alpine:pull,push".
type scope struct {
	kind, class, name string
	actions           []string
}

var errScope = errors.New("token: malformed scope")

// parseScopes reads the parameters named scope. Each contains one or more scopes, separated by
// spaces. Scopes of the same repository are merged at the place of the last one. Clients append new
// scopes to those that they have asked for before, so if there are more than maxScopes, the last
// ones are kept: they include the scope that the client needs now.
//
// Errors: errScope.
func parseScopes(q url.Values) ([]scope, error) {
	var all []scope
	seen := make(map[string]int) // by type, class and name, the place in all
	for _, param := range slices.Backward(q["scope"]) {
		for _, s := range slices.Backward(strings.Fields(param)) {
			parsed, err := parseScope(s)
			if err != nil {
				return nil, err
			}
			thing := s[:strings.LastIndexByte(s, ':')]
			if i, ok := seen[thing]; ok {
				all[i].merge(parsed)
			} else if len(all) < maxScopes {
				seen[thing] = len(all)
				all = append(all, parsed)
			}
		}
	}
	slices.Reverse(all)
	return all, nil
}

// merge adds the actions of an earlier scope of the same repository. It leaves out unknown actions.
func (s *scope) merge(earlier scope) {
	for _, a := range earlier.actions {
		known := slices.Contains([]auth.Action{auth.Pull, auth.Push, auth.Delete, auth.All}, auth.Action(a))
		if known && !slices.Contains(s.actions, a) {
			s.actions = append(s.actions, a)
		}
	}
}

// parseScope reads one scope. The name is the text between the first and the last colon, as it may
// begin with a host and its port. The type may have a class, as in "repository(plugin)".
func parseScope(s string) (scope, error) {
	first, last := strings.IndexByte(s, ':'), strings.LastIndexByte(s, ':')
	if len(s) > maxScope || first <= 0 || last <= first+1 {
		return scope{}, errScope
	}
	p := scope{kind: s[:first], name: s[first+1 : last]}
	if kind, class, ok := strings.Cut(p.kind, "("); ok {
		if class, ok = strings.CutSuffix(class, ")"); !ok || class == "" || kind == "" {
			return scope{}, errScope
		}
		p.kind, p.class = kind, class
	}
	for a := range strings.SplitSeq(s[last+1:], ",") {
		if a != "" && !slices.Contains(p.actions, a) {
			p.actions = append(p.actions, a)
		}
	}
	if len(p.actions) > maxActions {
		return scope{}, errScope
	}
	return p, nil
}

// accesses returns the accesses that the scope stands for. It leaves out what this registry does
// not have, as if it was not allowed.
func (s scope) accesses() []auth.Access {
	var actions []auth.Action
	switch s.kind {
	case auth.TypeRepository:
		if reference.CheckName(s.name) != nil {
			return nil
		}
		for _, a := range []auth.Action{auth.Pull, auth.Push, auth.Delete} {
			if slices.Contains(s.actions, string(a)) || slices.Contains(s.actions, string(auth.All)) {
				actions = append(actions, a)
			}
		}
	case auth.TypeRegistry:
		if s.name == auth.NameCatalog && slices.Contains(s.actions, string(auth.All)) {
			actions = []auth.Action{auth.All}
		}
	}
	list := make([]auth.Access, len(actions))
	for i, a := range actions {
		list[i] = auth.Access{Type: s.kind, Name: s.name, Action: a}
	}
	return list
}

// challengeScope returns the accesses as the scope of a challenge, with one scope for each
// repository and for the catalog. A scope for push includes pull, because clients check what exists
// before they push.
func challengeScope(accesses []auth.Access) string {
	var order []auth.Access
	actions := make(map[auth.Access][]string)
	for _, a := range accesses {
		thing := auth.Access{Type: a.Type, Name: a.Name}
		if _, ok := actions[thing]; !ok {
			order = append(order, thing)
		}
		add := []string{string(a.Action)}
		if a.Action == auth.Push || a.Action == auth.Overwrite {
			add = []string{string(auth.Pull), string(auth.Push)}
		}
		for _, action := range add {
			if !slices.Contains(actions[thing], action) {
				actions[thing] = append(actions[thing], action)
			}
		}
	}
	scopes := make([]string, len(order))
	for i, thing := range order {
		scopes[i] = thing.Type + ":" + thing.Name + ":" + strings.Join(actions[thing], ",")
	}
	return strings.Join(scopes, " ")
}
