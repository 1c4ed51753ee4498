package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// openRoutes are the routes that callers without credentials may use whatever they are about.
var openRoutes = []string{"GET /v1/openapi.json", "GET /v1/parts", "GET /v1/password", "POST /v1/signup",
	"GET /v1/setup", "POST /v1/setup", "GET /v1/repositories", "GET /v1/search", "GET /v1/namespaces"}

// firstRows returns the first row of the matrix for each route.
func firstRows(t *testing.T, base *matrixSite) []matrixRow {
	t.Helper()
	seen := map[string]bool{}
	return slices.DeleteFunc(matrixRows(t, base.routes()), func(row matrixRow) bool {
		known := seen[row.route]
		seen[row.route] = true
		return known
	})
}

// send makes a request to the current copy of the site, as a caller. replace changes the path; it may be nil.
func (c *matrixCaller) send(t *testing.T, caller string, row matrixRow, path string, body any,
	headers ...string) *answer {
	t.Helper()
	if c.current == nil {
		c.renew(t)
	}
	if text, ok := body.(string); ok {
		body = c.base.ids.Replace(text)
	}
	if login := c.base.headers[caller]; login != "" {
		headers = append(headers, "Authorization: "+login)
	}
	a := c.current.do(t, "", row.method, c.base.ids.Replace(path), body, headers...)
	if a.status < 300 && row.method != http.MethodGet {
		c.current = nil
	}
	return a
}

// bodyOf returns the body of a request of a row, or nil.
func bodyOf(row matrixRow) any {
	if text, ok := matrixBodies[row.route]; ok {
		return text
	}
	return nil
}

// TestWalkRefusesStrangers: every route that is not open refuses callers without credentials.
func TestWalkRefusesStrangers(t *testing.T) {
	base := newMatrixSite(t)
	c := base.with(t)
	for _, row := range firstRows(t, base) {
		a := c.send(t, "anon", row, row.path, bodyOf(row), "If-Match: *")
		if slices.Contains(openRoutes, row.route) {
			require.NotEqual(t, 401, a.status, row.route)
			continue
		}
		a.fails(401, "UNAUTHORIZED")
	}
}

// TestWalkConditions: every conditional route refuses a request without If-Match, and one with another ETag. Neither
// changes anything.
func TestWalkConditions(t *testing.T) {
	base := newMatrixSite(t)
	c := base.with(t)
	conditional := 0
	for _, row := range matrixRows(t, base.routes()) {
		if !base.api.Conditional(row.route) {
			continue
		}
		conditional++
		caller := "admin"
		if strings.Contains(row.path, "SESSION") {
			caller = "ses"
		}
		c.send(t, caller, row, row.path, bodyOf(row)).fails(428, "PRECONDITION_REQUIRED")
		for _, tag := range []string{`"x"`, `W/"x"`, `"x", "y"`, `"*"`} {
			a := c.send(t, caller, row, row.path, bodyOf(row), "If-Match: "+tag)
			require.Equal(t, 412, a.status, "%s %s: %s", row.route, tag, a.body)
		}
		for _, tag := range []string{"x", "", ",", `"`, "* *"} {
			a := c.send(t, caller, row, row.path, bodyOf(row), "If-Match: "+tag)
			require.Contains(t, []int{400, 412, 428}, a.status, "%s %s: %s", row.route, tag, a.body)
		}
		c.send(t, caller, row, row.path, bodyOf(row), "If-Match: *").want(row.okFor(caller))
	}
	require.Greater(t, conditional, 15)
	for _, route := range base.routes() {
		method, _, _ := strings.Cut(route, " ")
		inSet := strings.Contains(route, "/owners/") || strings.Contains(route, "/members/") ||
			strings.Contains(route, "/admins/") || strings.Contains(route, "/pins/") || strings.Contains(route, "/links/")
		own := slices.Contains([]string{"PUT /v1/user/password", "DELETE /v1/user/sessions",
			"PUT /v1/repositories/{repository}/tags/{tag}"}, route) // the tag has rules of its own
		if slices.Contains([]string{"PUT", "PATCH", "DELETE"}, method) && !inSet && !own {
			require.True(t, base.api.Conditional(route), route)
		}
	}
}

// okFor returns the status of a row for a caller who is authorised.
func (row matrixRow) okFor(caller string) int {
	if row.cells[slices.Index(strings.Fields(matrixCallers), caller)] == "*" {
		return http.StatusNoContent
	}
	return row.status
}

// missing replaces the names of what the site has by names that it does not have. A repository stays in its namespace,
// and a webhook in the scope that its ID states.
var missing = strings.NewReplacer("/users/read", "/users/nobody", "/admins/second", "/admins/nobody",
	"acme+deploy", "nobody+deploy",
	"/accounts/read", "/accounts/nobody", "READTOKEN", "aaaaaaaaaa", "ROBOTTOKEN", "aaaaaaaaaa",
	"/organisations/acme", "/organisations/nobody", "/members/read", "/members/read", "/teams/read", "/teams/none",
	"/namespaces/acme", "/namespaces/nobody", "/namespaces/read", "/namespaces/nobody", "/bot", "/none",
	"acme%2Fapp", "acme%2Fnone", "acme%2Flost", "acme%2Fnone", "LOST", "sha256:"+strings.Repeat("0", 64),
	"IMAGE", "sha256:"+strings.Repeat("0", 64), "/manifests/v1", "/manifests/none", "/tags/v1", "/tags/none",
	"prefix=acme", "prefix=nobody", "namespace:acme", "namespace:nobody", "/jobs/collect", "/jobs/none",
	"/quotas/acme", "/quotas/nobody", "hub.example%2Flibrary%2Fapp/v1", "hub.example%2Fnone/none",
	"DELIVERY", "none", "HOOK", "GONE")

// TestWalkHidesWhatExists: for callers without access, the responses about an existing and a missing object are the
// same, and cost the same requests to the storage.
func TestWalkHidesWhatExists(t *testing.T) {
	base := newMatrixSite(t)
	c := base.with(t)
	callers, compared := strings.Fields(matrixCallers), 0
	for _, caller := range []string{"other", "robot", "narrow", "anon"} {
		for _, row := range matrixRows(t, base.routes()) {
			path := missing.Replace(row.path)
			if path == row.path || strings.Contains("y*", row.cells[slices.Index(callers, caller)]) {
				continue
			}
			exists, exCost := c.counted(t, caller, row, row.path)
			absent, abCost := c.counted(t, caller, row, path)
			what := fmt.Sprintf("%s: %s %s and %s", caller, row.method, row.path, path)
			require.Contains(t, []int{401, 403}, exists.status, what)
			require.Equal(t, exists.status, absent.status, what)
			require.Equal(t, string(exists.body), string(absent.body), what)
			if caller == "other" || caller == "anon" { // the others know acme, and its record is read for them
				require.Equal(t, exCost, abCost, what)
			}
			compared++
		}
	}
	require.Greater(t, compared, 200)
}

// counted makes a request to a fresh copy of the site, and returns the number of requests to its storage.
func (c *matrixCaller) counted(t *testing.T, caller string, row matrixRow, path string) (*answer, int) {
	t.Helper()
	if c.copy == nil {
		c.copy = c.base.copyOf(t)
	}
	d := drivertest.NewFaulty(c.copy, nil) // refused requests change nothing
	c.serve(t, d)
	before := d.Count("")
	a := c.send(t, caller, row, path, bodyOf(row), "If-Match: *")
	return a, d.Count("") - before
}

// TestWalkHostileNames: no name in a path makes a route fail with anything but a clean error.
func TestWalkHostileNames(t *testing.T) {
	base := newMatrixSite(t)
	c := base.with(t)
	odd := []string{"A", "~", "+", "-", "a--b", "sha256:", "a,b", "'", "%7Buser%7D"} // some are valid for some routes
	names := []string{"%2F", "%252F", "..", ".", "%2E%2E", "%2E", "%00", "a%00b", "%FF", "%20", "%0A", "%0D%0Ax",
		"a%2F..%2Fb", "%2Fetc%2Fpasswd", "a%5Cb", "%E2%80%AE", "%F0%9F%9A%80", "*", "a+b+c",
		"a%2F%2Fb", "sha256:zz", "%3Cscript%3E", "a;b", "a=b", "%25", "%2525",
		strings.Repeat("a", 300), strings.Repeat("a%2F", 1000) + "a"}
	for _, row := range firstRows(t, base) {
		parts, pattern := strings.Split(row.path, "/"), strings.Split(strings.Split(row.route, " ")[1], "/")
		for i, part := range pattern {
			if !strings.HasPrefix(part, "{") {
				continue
			}
			for _, name := range slices.Concat(names, odd) {
				changed := slices.Clone(parts)
				_, query, _ := strings.Cut(changed[i], "?")
				if changed[i] = name; query != "" {
					changed[i] += "?" + query
				}
				a := c.send(t, "admin", row, strings.Join(changed, "/"), bodyOf(row), "If-Match: *")
				what := fmt.Sprintf("%s with %s", row.route, name)
				if a.status < 300 && slices.Contains(odd, name) {
					continue
				}
				require.GreaterOrEqual(t, a.status, 400, "%s: %s", what, a.body)
				require.Less(t, a.status, 500, "%s: %s", what, a.body)
				var problem types.Problem
				a.into(&problem)
				require.Equal(t, "application/problem+json", a.header.Get("Content-Type"), what)
				require.NotContains(t, problem.Detail, "\x00", what)
			}
		}
	}
}

// TestWalkHostileBodies: every route with a body refuses bodies that are too large, malformed, of another type, or have
// unknown or repeated fields.
func TestWalkHostileBodies(t *testing.T) {
	base := newMatrixSite(t)
	c := base.with(t)
	large := `{"name":"` + strings.Repeat("a", 1<<20) + `"}`
	for _, row := range firstRows(t, base) {
		good, ok := matrixBodies[row.route]
		if !ok {
			continue
		}
		plan := good == "PLAN"
		for body, want := range map[string]int{large: 413, "": 400, " ": 400, "null": 400, "[]": 400, "1": 400, `"x"`: 400,
			"{": 400, good + good: 400, good + "x": 400, "\xff": 400, `{"unknownField":1}`: 400, "{}}": 400,
			strings.Repeat("[", 20000): 400, `{"name":"a","name":"b"}`: 400, `{"name":null}`: 400} {
			if plan && (want == 413 || body == good+good) {
				continue // a plan may be large, and is a sequence of values
			}
			a := c.send(t, "admin", row, row.path, body, "If-Match: *")
			require.Equal(t, want, a.status, "%s with %.50q: %s", row.route, body, a.body)
		}
		for _, mediaType := range []string{"text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"} {
			a := c.send(t, "admin", row, row.path, good, "If-Match: *", "Content-Type: "+mediaType)
			require.Equal(t, 415, a.status, "%s with %s: %s", row.route, mediaType, a.body)
		}
	}
}

// TestWalkMethods: a path refuses the methods that it does not have, and names those that it has.
func TestWalkMethods(t *testing.T) {
	base := newMatrixSite(t)
	c := base.with(t)
	for _, row := range firstRows(t, base) {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"} {
			if routeOf(base.routes(), method, row.path) != "" {
				continue
			}
			wrong := row
			wrong.method = method
			a := c.send(t, "admin", wrong, row.path, nil)
			a.fails(405, "UNSUPPORTED")
			require.Contains(t, a.header.Get("Allow"), row.method, "%s %s", method, row.path)
		}
	}
}
