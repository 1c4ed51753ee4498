package token

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// Limits of what a request for a token may ask for.
const (
	maxScopes  = 512
	maxScope   = 1024 // bytes
	maxActions = 8
)

// scope is what is asked for of one thing: "repository:library/alpine:pull,push".
type scope struct {
	kind, class, name string
	actions           []string
}

var errScope = errors.New("token: malformed scope")

// parseScopes reads the parameters scope: any number of them, each one or more scopes with spaces
// between. Scopes of the same thing become one, in the place of the last. Clients append scopes to
// those they have asked for before, so of more than maxScopes the last ones are kept: they include
// the one that the client needs now.
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

// merge adds the actions of an earlier scope of the same thing. Unknown actions mean nothing, and
// are left out.
func (s *scope) merge(earlier scope) {
	for _, a := range earlier.actions {
		known := slices.Contains([]auth.Action{auth.Pull, auth.Push, auth.Delete, auth.All}, auth.Action(a))
		if known && !slices.Contains(s.actions, a) {
			s.actions = append(s.actions, a)
		}
	}
}

// parseScope reads one scope. The name is all between the first colon and the last: it may begin
// with a host and its port. The type may have a class, as in "repository(plugin)".
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

// accesses are what the scope could mean here, one by one. What this registry does not have is left
// out, as if it was not allowed.
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

// challengeScope is the accesses as the scope of a challenge: one for each thing, with what is
// needed of it. Who pushes will pull as well: clients look for what is there already.
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
