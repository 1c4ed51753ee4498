package sse

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/registrykit/registry/notification"
)

// Limits of the parameters of a request.
const (
	maxValues  = 32       // of each parameter
	maxPattern = 256      // bytes of a pattern, action or kind
	maxCursor  = 16 << 10 // bytes of an ID
)

// query is what a client asks for.
type query struct {
	repositories, actions, kinds []string // empty: all
}

// parseQuery reads the parameters of a request.
func parseQuery(values url.Values) (query, error) {
	for name, list := range values {
		if !slices.Contains([]string{"repository", "action", "kind", "after"}, name) {
			return query{}, fmt.Errorf("unknown parameter %.100q", name)
		}
		if len(list) > maxValues {
			return query{}, fmt.Errorf("more than %d values of %s", maxValues, name)
		}
		for _, v := range list {
			switch {
			case name == "after":
			case v == "" || len(v) > maxPattern:
				return query{}, fmt.Errorf("a value of %s is empty or too long", name)
			case name == "repository" && !doublestar.ValidatePattern(v):
				return query{}, fmt.Errorf("malformed pattern %q", v)
			}
		}
	}
	return query{values["repository"], values["action"], values["kind"]}, nil
}

// selects reports whether the client asks for an event.
func (q query) selects(e *notification.Event) bool {
	if e.Action == notification.Missing {
		return true
	}
	in := func(list []string, v string) bool { return len(list) == 0 || slices.Contains(list, v) }
	match := func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, e.Repository) }
	return in(q.actions, string(e.Action)) && in(q.kinds, string(e.Kind)) &&
		(len(q.repositories) == 0 || slices.ContainsFunc(q.repositories, match))
}
