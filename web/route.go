package web

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/registrykit/registry/internal/wire"
)

// compile returns the regular expression of the path of a view. A repository may have several segments: "/-/" ends it,
// because no component of a name is "-".
func compile(path string) *regexp.Regexp {
	parts := strings.Split(path, "{")
	text := "^" + regexp.QuoteMeta(parts[0])
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, "}")
		segment := "[^/]+"
		if name == "repo" || name == "prefix" {
			segment = "[^/]+(?:/[^/]+)*?"
		}
		text += fmt.Sprintf("(?P<%s>%s)", name, segment) + regexp.QuoteMeta(rest)
	}
	return regexp.MustCompile(text + "$")
}

// match returns the parameters of a path, unescaped, if it is that of the view.
func (v *view) match(path string) (map[string]string, bool) {
	found := v.re.FindStringSubmatch(path)
	if found == nil {
		return nil, false
	}
	params := map[string]string{}
	for i, name := range v.re.SubexpNames() {
		if name == "" {
			continue
		}
		text, err := url.PathUnescape(found[i])
		if err != nil || name == "repo" && strings.Contains("/"+text+"/", "/-/") {
			return nil, false
		}
		if text == "." || text == ".." { // escaped, so that CleanPath has not seen it; no object has this name
			return nil, false
		}
		params[name] = text
	}
	return params, true
}

// serve serves a request.
func (p *Page) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	below, ok := strings.CutPrefix(path, p.opts.Mount)
	if !ok {
		if path+"/" == p.opts.Mount && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
			http.Redirect(w, r, p.opts.Path, http.StatusMovedPermanently)
			return
		}
		http.NotFound(w, r)
		return
	}
	if name, ok := strings.CutPrefix(below, "assets/"); ok {
		p.assets.serve(w, r, name)
		return
	}
	q := &request{Request: r, page: p, writer: w, language: p.languages.Choose(r), now: p.now()}
	defer func() {
		thrown := recover()
		if thrown == nil {
			return
		}
		if thrown == http.ErrAbortHandler { //nolint:errorlint // net/http compares it, too
			panic(thrown)
		}
		p.fail(q, fmt.Errorf("panic: %v\n%s", thrown, debug.Stack()))
	}()
	answer, err := p.perform(q, "/"+below)
	if err == nil {
		err = p.respond(q, answer)
	}
	if err != nil {
		p.fail(q, err)
	}
}

// perform finds the view of a request and handles it.
func (p *Page) perform(q *request, path string) (*answer, error) {
	var err error
	if q.visitor, err = p.api.Visit(q.Request); err != nil {
		return nil, err
	}
	if !wire.CleanPath(path) {
		return nil, errNotFound
	}
	method := q.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	known := false
	for i := range p.views {
		v := &p.views[i]
		params, ok := v.match(path)
		if !ok {
			continue
		}
		known = true
		if v.method != method {
			continue
		}
		q.view, q.params = v, params
		if err := q.parse(); err != nil {
			return nil, err
		}
		return v.handle(q)
	}
	if known {
		return nil, errMethod
	}
	return nil, errNotFound
}
