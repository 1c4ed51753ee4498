package api

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
)

// route is one method of one path.
type route struct {
	// method and path are those of the description, such as "GET" and "/v1/users/{user}". A parameter in braces is one
	// segment of the path.
	method, path string
	// access decides who may use the route, by the path and the query alone.
	access access
	// conditional requires the header If-Match. The handler must call request.match with the current object.
	conditional bool
	// handle performs the request. It has access then.
	handle func(*request) (*response, error)
	// part is the name of the part of the route. mount sets it.
	part string
}

// access returns the permissions that a request needs, before anything is looked up. It may return an error for a
// malformed parameter. Every route has one: needs, signedIn or everyone.
type access func(*request) ([]auth.Access, error)

// everyone lets all callers use a route.
func everyone(*request) ([]auth.Access, error) { return nil, nil }

// signedIn lets all callers with a name use a route, such as one about the caller.
func signedIn(q *request) ([]auth.Access, error) {
	if q.caller.Identity().Anonymous() {
		return nil, registry.ErrUnauthorized
	}
	return nil, nil
}

// needs lets callers with one permission use a route. name is the name of an Access, or that of a parameter of the path
// in braces, such as "{user}".
func needs(kind, name string, action auth.Action) access {
	return func(q *request) ([]auth.Access, error) {
		one := auth.Access{Type: kind, Name: name, Action: action}
		if name[0] == '{' {
			one.Name = q.param(name[1 : len(name)-1])
		}
		if kind == auth.TypeRepository {
			if err := registry.CheckName(one.Name); err != nil {
				return nil, err
			}
		}
		return []auth.Access{one}, nil
	}
}

// all lets callers use a route who have the access of each of list.
func all(list ...access) access {
	return func(q *request) ([]auth.Access, error) {
		var every []auth.Access
		for _, one := range list {
			accesses, err := one(q)
			if err != nil {
				return nil, err
			}
			every = append(every, accesses...)
		}
		return every, nil
	}
}

// mount registers the routes of all parts, and returns the description.
func (a *API) mount(parts []part) ([]byte, error) {
	byPath, order := map[string]map[string]route{}, []string(nil)
	for _, p := range parts {
		for _, r := range p.routes {
			if r.access == nil || r.handle == nil {
				return nil, fmt.Errorf("api: %s %s has no access or handler", r.method, r.path)
			}
			if byPath[r.path] == nil {
				byPath[r.path] = map[string]route{}
				order = append(order, r.path)
			}
			r.part = p.name
			byPath[r.path][r.method] = r
			a.routes = append(a.routes, r)
		}
	}
	for _, path := range order {
		a.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, byPath[path]) })
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, nil) })
	return describe(parts)
}

// serve serves a request to a path with routes, by method.
func (a *API) serve(w http.ResponseWriter, r *http.Request, routes map[string]route) {
	q := &request{Request: r, api: a, writer: w}
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it, too
			panic(p)
		}
		a.fail(q, registry.ErrInternal.WithCause(fmt.Errorf("panic: %v\n%s", p, debug.Stack())))
	}()
	answer, err := a.perform(q, routes)
	if err == nil {
		err = a.respond(q, answer)
	}
	if err != nil {
		a.fail(q, err)
	}
}

// basicFromElsewhere returns an error for a change that a page of another origin sends with Basic credentials. Browsers
// remember these, and add them to the requests of every page. Package session protects its cookie in the same way.
//
// Errors: registry.ErrDenied.
func basicFromElsewhere(r *http.Request) error {
	if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); !strings.EqualFold(scheme, "Basic") {
		return nil
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return registry.ErrDenied.WithMessage("a page of another origin has sent the request").WithCause(err)
	}
	return nil
}

// perform authorises and handles a request.
func (a *API) perform(q *request, routes map[string]route) (*response, error) {
	if routes == nil {
		return nil, errNoRoute
	}
	method := q.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route, ok := routes[method]
	if !ok {
		return nil, methodError{routes}
	}
	err := basicFromElsewhere(q.Request)
	if err != nil {
		return nil, err
	}
	if q.caller, err = a.registry.Caller(q.Request, a.authenticator(q.Context())); err != nil {
		return nil, err
	}
	if _, ok := q.caller.Identity().Claims[auth.ScopesClaim]; ok {
		return nil, errScoped
	}
	accesses, err := route.access(q)
	if err != nil {
		return nil, err
	}
	if err := q.caller.Authorize(q.Context(), accesses...); err != nil {
		return nil, err
	}
	if err := q.parse(route.conditional); err != nil {
		return nil, err
	}
	answer, err := route.handle(q)
	if err == nil && route.conditional && !q.matched {
		err = errors.New("api: the handler has not compared If-Match")
	}
	if err == nil {
		err = a.record(q, &route)
	}
	return answer, err
}
