// Package scope implements the parts of Docker's token protocol that packages auth/token and auth/bearer share:
// the scopes that clients request, the grants in tokens, and challenges.
package scope

import (
	"errors"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/reference"
)

// Limits of a request for a token.
const (
	// Max is the maximum number of scopes.
	Max        = 512
	maxScope   = 1024 // bytes
	maxActions = 8
)

// Scope is a requested scope, such as "repository:library/alpine:pull,push".
type Scope struct {
	// Type, Class and Name are what the scope is about. The class is "" except in a type such as
	// "repository(plugin)".
	Type, Class, Name string
	// Actions are the words after the last colon.
	Actions []string
}

// ErrMalformed is returned for a text that is no scope.
var ErrMalformed = errors.New("token: malformed scope")

// Parse reads the parameters named scope of a request for a token. Each contains one or more scopes, separated
// by spaces. Scopes of the same repository are merged at the place of the last one. Clients append new
// scopes to those that they have asked for before, so if there are more than Max, the last
// ones are kept: they include the scope that the client needs now.
//
// Errors: ErrMalformed.
func Parse(params []string) ([]Scope, error) {
	var all []Scope
	seen := make(map[string]int) // by type, class and name, the place in all
	for _, param := range slices.Backward(params) {
		for _, s := range slices.Backward(strings.Fields(param)) {
			parsed, err := parseOne(s)
			if err != nil {
				return nil, err
			}
			thing := s[:strings.LastIndexByte(s, ':')]
			if i, ok := seen[thing]; ok {
				all[i].merge(parsed)
			} else if len(all) < Max {
				seen[thing] = len(all)
				all = append(all, parsed)
			}
		}
	}
	slices.Reverse(all)
	return all, nil
}

// merge adds the actions of an earlier scope of the same repository. It leaves out unknown actions.
func (s *Scope) merge(earlier Scope) {
	for _, a := range earlier.Actions {
		known := slices.Contains([]auth.Action{auth.Pull, auth.Push, auth.Delete, auth.All}, auth.Action(a))
		if known && !slices.Contains(s.Actions, a) {
			s.Actions = append(s.Actions, a)
		}
	}
}

// parseOne reads one scope. The name is the text between the first and the last colon, as it may
// begin with a host and its port. The type may have a class, as in "repository(plugin)".
func parseOne(s string) (Scope, error) {
	first, last := strings.IndexByte(s, ':'), strings.LastIndexByte(s, ':')
	if len(s) > maxScope || first <= 0 || last <= first+1 {
		return Scope{}, ErrMalformed
	}
	p := Scope{Type: s[:first], Name: s[first+1 : last]}
	if kind, class, ok := strings.Cut(p.Type, "("); ok {
		if class, ok = strings.CutSuffix(class, ")"); !ok || class == "" || kind == "" {
			return Scope{}, ErrMalformed
		}
		p.Type, p.Class = kind, class
	}
	for a := range strings.SplitSeq(s[last+1:], ",") {
		if a != "" && !slices.Contains(p.Actions, a) {
			p.Actions = append(p.Actions, a)
		}
	}
	if len(p.Actions) > maxActions {
		return Scope{}, ErrMalformed
	}
	return p, nil
}

// Accesses returns the accesses that the scope stands for. It leaves out what this registry does
// not have, as if it was not allowed.
func (s Scope) Accesses() []auth.Access {
	var actions []auth.Action
	switch s.Type {
	case auth.TypeRepository:
		if reference.CheckName(s.Name) != nil {
			return nil
		}
		for _, a := range []auth.Action{auth.Pull, auth.Push, auth.Delete} {
			if slices.Contains(s.Actions, string(a)) || slices.Contains(s.Actions, string(auth.All)) {
				actions = append(actions, a)
			}
		}
	case auth.TypeRegistry:
		if s.Name == auth.NameCatalog && slices.Contains(s.Actions, string(auth.All)) {
			actions = []auth.Action{auth.All}
		}
	}
	list := make([]auth.Access, len(actions))
	for i, a := range actions {
		list[i] = auth.Access{Type: s.Type, Name: s.Name, Action: a}
	}
	return list
}

// Format returns the accesses as scopes, one for each repository and for the catalog. A scope for
// push includes pull, because clients check what exists before they push.
func Format(accesses []auth.Access) string {
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
