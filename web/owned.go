package web

import (
	"strings"

	"github.com/registrykit/registry"
)

// maxOwned is the maximum number of namespaces of a caller for which a view asks the API.
const maxOwned = 20

// owned returns the namespaces whose figures a caller may see who may not see those of the whole registry: that of the
// own account, and those of organisations. It makes one call. Namespaces that the caller may not see are left out when
// their figures are asked for.
//
// Errors: 401 for anonymous callers.
func (q *request) owned() ([]string, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	caller, err := q.visitor.Caller(q.Context())
	if err != nil {
		return nil, err
	}
	names := []string{caller.Name}
	for _, group := range caller.Groups {
		isNamespace := registry.CheckName(group) == nil && !strings.Contains(group, "/")
		if len(names) < maxOwned && isNamespace && group != caller.Name {
			names = append(names, group)
		}
	}
	return names, nil
}
