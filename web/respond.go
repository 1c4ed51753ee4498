package web

import (
	"bytes"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry/auth"
)

// answer is what a view returns: a page, or a redirect to one.
type answer struct {
	// status is the HTTP status of a page. Default: 200.
	status int
	// title is the title of the page, in the language of the request.
	title string
	// template is the name of the template. Default: the name of the view.
	template string
	// data is what the template shows. It has the fields and methods that the template names.
	data any
	// redirect is the URL of the page that shows the result of a change, see request.to.
	redirect string
	// serve, if not nil, writes the response itself, such as a stream or a file. It sets all headers.
	serve func(w http.ResponseWriter, r *http.Request)
}

// show returns the page of a view.
func (q *request) show(title string, data any) *answer { return &answer{title: title, data: data} }

// to returns a redirect to a path of the page, such as q.page.repo("acme/app"), with parameters.
func (q *request) to(url string, params ...string) *answer {
	return &answer{redirect: withParams(url, params...)}
}

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

// frame is what the layout shows around a view.
type frame struct {
	Content
	Page   *Page
	Query  string // of the search
	Path   string // of the request, with the query, for forms that come back
	Signed bool
	// SignIn and SignOut are URLs, or "".
	SignIn, SignOut string
	Menu            []menuItem
	Languages       []languageChoice
}

// menuItem is a link in the header.
type menuItem struct {
	Title, URL string
	Current    bool
}

// languageChoice is a link in the footer.
type languageChoice struct {
	Code, Title, URL string
	Current          bool
}

// respond writes an answer.
func (p *Page) respond(q *request, a *answer) error {
	w := q.writer
	if a.serve != nil {
		a.serve(w, q.Request)
		return nil
	}
	if a.redirect != "" {
		w.Header().Set("Location", a.redirect)
		w.WriteHeader(http.StatusSeeOther)
		return nil
	}
	body, err := p.render(q, a)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Language", q.language.Code)
	w.Header().Set("Vary", "Accept-Language, Cookie")
	status := a.status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
	return nil
}

// render returns the HTML of an answer.
func (p *Page) render(q *request, a *answer) ([]byte, error) {
	name := a.template
	if name == "" {
		name = q.view.name
	}
	set := p.templates[q.language.Code]
	var main bytes.Buffer
	if err := set.execute(&main, name, a.data); err != nil {
		return nil, err
	}
	f := p.frame(q, a)
	f.Main = template.HTML(main.String()) //nolint:gosec // a template has escaped it
	for _, piece := range []struct {
		name string
		to   *template.HTML
	}{{"head", &f.Head}, {"navigation", &f.Navigation}, {"footer", &f.Footer}} {
		var b bytes.Buffer
		if err := set.layout.ExecuteTemplate(&b, piece.name, f); err != nil {
			return nil, err
		}
		*piece.to = template.HTML(b.String()) //nolint:gosec // a template has escaped it
	}
	var all bytes.Buffer
	if p.opts.Layout != nil {
		err := p.opts.Layout.Execute(&all, f.Content)
		return all.Bytes(), err
	}
	err := set.layout.ExecuteTemplate(&all, "layout", f)
	return all.Bytes(), err
}

// frame returns what is around a view.
func (p *Page) frame(q *request, a *answer) *frame {
	f := &frame{Page: p, Query: q.values.Get("q"), Path: p.opts.Path + strings.TrimPrefix(q.URL.EscapedPath(), p.opts.Mount)}
	if q.Method == http.MethodGet && q.URL.RawQuery != "" {
		f.Path += "?" + q.URL.RawQuery
	}
	f.Title, f.Language = a.title, q.language.Code
	if q.visitor != nil {
		f.Caller, f.Signed = q.visitor.Identity().Name, q.signedIn()
		f.Menu = q.menu()
	}
	f.SignIn, f.SignOut = p.signInURL(f.Path), p.opts.SignOutURL
	for _, l := range p.languages.All() {
		f.Languages = append(f.Languages, languageChoice{Code: l.Code, Title: l.Title, Current: l == q.language,
			URL: withParams(p.path("language"), "to", l.Code, "return", f.Path)})
	}
	return f
}

// signInURL returns the URL of the sign-in, which returns to a path afterwards, or "".
func (p *Page) signInURL(back string) string {
	switch {
	case p.opts.SignIn != nil:
		return withParams(p.path("sign-in"), "return", back)
	case p.opts.SignInURL != "":
		return withParams(p.opts.SignInURL, "return", back)
	}
	return ""
}

// menu returns the links of the header to the views that the caller may see.
func (q *request) menu() (items []menuItem) {
	t := q.language.Text
	add := func(ok bool, name, title string) {
		if ok && q.has(name) {
			items = append(items, menuItem{Title: title, URL: q.page.path(name), Current: q.view != nil && q.view.name == name})
		}
	}
	signed := q.signedIn()
	add(signed, "bin", t("Bin"))
	add(signed, "usage", t("Usage"))
	add(signed, "events", t("Events"))
	add(q.mayRegistry(auth.NameJobs, auth.Read), "jobs", t("Jobs"))
	add(q.mayRegistry(auth.NameMirror, auth.Read), "mirror", t("Mirror"))
	add(signed, "organisations", t("Organisations"))
	add(q.mayRegistry(auth.NameAccounts, auth.Manage), "users", t("Users"))
	return items
}
