package api

import "slices"

// Routes returns the routes, such as "GET /v1/users/{user}", sorted.
func (a *API) Routes() []string {
	var all []string
	for _, r := range a.routes {
		all = append(all, r.method+" "+r.path)
	}
	slices.Sort(all)
	return all
}

// Conditional reports whether a route requires If-Match.
func (a *API) Conditional(name string) bool {
	return slices.ContainsFunc(a.routes, func(r route) bool { return r.method+" "+r.path == name && r.conditional })
}

// Etag returns the entity tag of an object.
func Etag(v any) string { return etag(v) }

// SetScanned changes the maximum number of names that a page examines.
func (a *API) SetScanned(n int) { a.scanned = n }
