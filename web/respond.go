package web

import (
	"bytes"
	"errors"
	"html/template"
	"io"
	"net/http"
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

// download returns a response with a file. A stream that fails ends without its end, so that the browser reports it.
func (q *request) download(contentType, name string, content io.ReadCloser) *answer {
	return &answer{serve: func(w http.ResponseWriter, _ *http.Request) {
		defer content.Close()
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		if _, err := io.Copy(w, content); err != nil && !errors.Is(err, http.ErrHandlerTimeout) {
			panic(http.ErrAbortHandler)
		}
	}}
}

// frame is what the layout shows around a view.
type frame struct {
	Content
	Page   *Page
	View   string // the name of the template, for style sheets
	Query  string // of the search
	Path   string // of the request, with the query, for forms that come back
	Signed bool
	// SignIn and SignOut are URLs, or "".
	SignIn, SignOut string
	// SignOutForm signs out, in place of SignOut. It may be nil.
	SignOutForm *form
	// Menu is for everybody, Administration for those who manage a part of the registry, and
	// Account for callers who are signed in.
	Menu, Administration, Account []menuItem
	Languages                     []languageChoice
	// ColorScheme is the value of the meta element of that name, and Themes are the links that choose it.
	ColorScheme string
	Themes      []menuItem
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
	set, err := p.templates[q.language.Code]()
	if err != nil {
		return nil, err
	}
	var main bytes.Buffer
	if err := set.execute(&main, name, a.data); err != nil {
		return nil, err
	}
	f := p.frame(q, a)
	f.View = name
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
	err = set.layout.ExecuteTemplate(&all, "layout", f)
	return all.Bytes(), err
}

// frame returns what is around a view.
func (p *Page) frame(q *request, a *answer) *frame {
	f := &frame{Page: p, Query: q.values.Get("q"), Path: q.here()}
	if q.Method == http.MethodGet && q.URL.RawQuery != "" {
		f.Path += "?" + q.URL.RawQuery
	}
	f.Path = q.localPath(f.Path) // a path such as "//evil.example" is a URL of another host
	f.Title, f.Language = a.title, q.language.Code
	if q.visitor != nil {
		f.Caller, f.Signed = q.visitor.Identity().Name, q.signedIn()
		q.menus(f)
	}
	f.SignIn, f.SignOut, f.SignOutForm = p.signInURL(f.Path), p.opts.SignOutURL, p.signOutForm()
	for _, l := range p.languages.All() {
		if !p.has("language") {
			break
		}
		f.Languages = append(f.Languages, languageChoice{Code: l.Code, Title: l.Title, Current: l == q.language,
			URL: withParams(p.path("language"), "to", l.Code, "return", f.Path)})
	}
	q.themes(f)
	return f
}
