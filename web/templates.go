package web

import (
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"path"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/registry/web/internal/lang"
)

//go:embed templates/*.html
var templateFiles embed.FS

// templates are the templates in one language.
type templates struct {
	layout *template.Template
	views  map[string]*template.Template
}

// partials are the files with parts of views: their names begin with "_".
const partials = "templates/_*.html"

// parseTemplates returns the templates in each language of the page. The first page in a language parses them: a
// program starts fast, and one whose page nobody opens does without.
func (p *Page) parseTemplates() map[string]func() (*templates, error) {
	all := map[string]func() (*templates, error){}
	for _, l := range p.languages.All() {
		all[l.Code] = sync.OnceValues(func() (*templates, error) { return parse(p.funcs(l)) })
	}
	return all
}

// parse parses all templates. A view is the template "main" of its file.
func parse(funcs template.FuncMap) (*templates, error) {
	layout, err := template.New("layout").Funcs(funcs).ParseFS(templateFiles, partials)
	if err != nil {
		return nil, err
	}
	set := &templates{layout: layout, views: map[string]*template.Template{}}
	files, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if strings.HasPrefix(name, "_") {
			continue
		}
		view, err := template.Must(layout.Clone()).ParseFS(templateFiles, file)
		if err != nil {
			return nil, err
		}
		set.views[name] = view
	}
	return set, nil
}

// execute writes a view.
func (s *templates) execute(w io.Writer, name string, data any) error {
	view := s.views[name]
	if view == nil {
		return fmt.Errorf("web: there is no template %q", name)
	}
	return view.ExecuteTemplate(w, "main", data)
}

// funcs returns the functions of templates in a language.
func (p *Page) funcs(l *lang.Language) template.FuncMap {
	return template.FuncMap{
		// t "Delete %s" .Name is a text; th is one with tags such as <b>, whose arguments are escaped; n .Tags "%s tag"
		// "%s tags" is a text about a number of things.
		"t": l.Text,
		"th": func(text string, args ...any) template.HTML {
			for i, arg := range args {
				args[i] = template.HTMLEscapeString(fmt.Sprint(arg))
			}
			return template.HTML(l.Text(text, args...)) //nolint:gosec // a text of this package with escaped arguments
		},
		"n": func(n any, one, many string) string { return l.Count(integer(n), one, many) },

		// path "users" .Name, repo .Name "history", image .Repo .Tag and namespace "acme" are URLs.
		"path": p.path, "repo": p.repo, "image": p.image, "namespace": p.namespace,
		"query": withParams,
		"asset": p.assets.url,
		// crumbs .Repository is links to the namespaces above it.
		"crumbs": p.crumbs,
		// breakable .Name is a name that a narrow page breaks after a slash.
		"breakable": breakable,
		// base "acme/app" is the last component of a name.
		"base": path.Base,

		"number": func(n any) string { return lang.Number(integer(n)) },
		"bytes":  func(n any) string { return lang.Bytes(integer(n)) },
		// ago .Set is a time as "3 hours ago", with the UTC time as its title. when is the UTC time.
		"ago":  func(t any) template.HTML { return timeElement(l, t, p.now()) },
		"when": func(t any) template.HTML { return exactTime(l, t) },
		// duration .Seconds is a duration such as "3 days".
		"duration": func(seconds any) string { return l.Duration(time.Duration(integer(seconds)) * time.Second) },
		// short .Digest is a digest with 12 characters.
		"short": shortDigest,
		// inert .Label is a text of a client without control and bidi characters, of at most 4,096 bytes.
		"inert": inert,
		"has":   p.has,
		// list 1 2 3 and dict "key" value make arguments of a partial template.
		"list": func(values ...any) []any { return values },
		"dict": dict,
	}
}

// integer returns a whole number of any type, or the one that a pointer leads to, as int64.
func integer(n any) int64 {
	v := reflect.Indirect(reflect.ValueOf(n)) // a nil pointer is 0
	switch {
	case v.IsValid() && v.CanInt():
		return v.Int()
	case v.IsValid() && v.CanUint():
		return int64(v.Uint()) //nolint:gosec // a count
	}
	return 0
}

// dict returns a map of pairs of a key and a value.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("web: %v is no key", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}
