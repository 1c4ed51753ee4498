package web

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/internal/wire"
)

// path returns the URL of a view below Options.Path. Each segment is escaped.
func (p *Page) path(segments ...string) string {
	escaped := make([]string, len(segments))
	for i, s := range segments {
		escaped[i] = url.PathEscape(s)
	}
	return p.opts.Path + strings.Join(escaped, "/")
}

// repo returns the URL of a repository, or of one of its views, such as "history".
func (p *Page) repo(name string, view ...string) string {
	target := p.path(append([]string{"repositories"}, strings.Split(name, "/")...)...)
	for i, segment := range view {
		if i == 0 {
			target += "/-"
		}
		target += "/" + url.PathEscape(segment)
	}
	return target
}

// image returns the URL of an image. ref is a tag or a digest.
func (p *Page) image(repo, ref string) string { return p.repo(repo, "images", ref) }

// namespace returns the URL of the repositories below a prefix.
func (p *Page) namespace(prefix string) string {
	return p.path(append([]string{"namespaces"}, strings.Split(prefix, "/")...)...)
}

// Name returns the name of the page, for its layout.
func (p *Page) Name() string { return p.opts.Name }

// Links returns the links of the host, for its layout.
func (p *Page) Links() []Link { return p.opts.Links }

// withParams adds parameters, which are pairs of a name and a value, to a URL.
func withParams(target string, params ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		query.Add(params[i], params[i+1])
	}
	if len(query) == 0 {
		return target
	}
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	return target + separator + query.Encode()
}

// below returns the path of the request below the page, escaped and without a slash at its beginning.
func (q *request) below() string { return strings.TrimPrefix(q.URL.EscapedPath(), q.page.opts.Mount) }

// here returns the URL of the request without its query.
func (q *request) here() string { return q.page.opts.Path + q.below() }

// shownAt returns the URL of the view that the request shows, without a query. A change that shows its form again shows
// the nearest view above its own path.
func (q *request) shownAt() string {
	path := "/" + q.below()
	for q.Method == http.MethodPost && path != "/" && !q.page.shows(path) {
		path = path[:max(strings.LastIndexByte(path, '/'), 1)]
	}
	return q.page.opts.Path + path[1:]
}

// shows reports whether the page has a view of a path, which begins with a slash.
func (p *Page) shows(path string) bool {
	return slices.ContainsFunc(p.views, func(v view) bool {
		_, ok := v.match(path)
		return ok && v.method == http.MethodGet
	})
}

// listURL returns the URL of the view with other parameters, which are pairs of a name and a value.
// A parameter with the value "" is left out, and so is what a notice was made of. What a form has
// sent is not part of the URL: it may be a password.
func (q *request) listURL(pairs ...string) string {
	query := q.URL.Query()
	for _, name := range []string{"done", "undo"} {
		query.Del(name)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		query.Del(pairs[i])
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	if len(query) == 0 {
		return q.shownAt()
	}
	return q.shownAt() + "?" + query.Encode()
}

// next returns the URL of the following page of a list, or "". All other parameters stay. It is
// relative, as long as the view has the path of the request.
func (q *request) next(p *client.Page) string {
	if p.Next == "" {
		return ""
	}
	return strings.TrimPrefix(q.listURL("after", p.Next), q.here())
}

// signInURL returns the URL of the sign-in, which returns to a path afterwards, or "".
func (p *Page) signInURL(back string) string {
	switch {
	case p.has("sign-in"):
		return withParams(p.path("sign-in"), "return", back)
	case p.opts.SignInURL != "":
		return withParams(p.opts.SignInURL, "return", back)
	}
	return ""
}

// maxLocalPath is the maximum length of a path to which a browser is sent, in bytes.
const maxLocalPath = 2048

// localPath returns a path of the page to which a browser may be sent, or the start page for anything else. A browser
// takes "//host", "/\\host" and texts with control characters in between for another host.
func (q *request) localPath(target string) string {
	home := q.page.opts.Path
	unusual := func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' || c == '#' }
	if len(target) > maxLocalPath || !strings.HasPrefix(target, home) || strings.HasPrefix(target, "//") ||
		strings.ContainsFunc(target, unusual) {
		return home
	}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil {
		return home
	}
	if below, ok := strings.CutPrefix(u.Path, home); !ok || !wire.CleanPath("/"+below) {
		return home
	}
	return target
}
