package web

import (
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/web/internal/lang"
)

// homeViews are the views of the start page and the namespaces, and the choice of the language.
func homeViews() []view {
	return []view{
		{name: "home", method: "GET", path: "/", handle: showHome},
		{name: "language", method: "GET", path: "/language", handle: chooseLanguage},
	}
}

// home is what the template "home" shows.
type home struct {
	Repositories []types.RepositorySummary
	Next         string
}

// showHome shows the repositories that the caller may see.
func showHome(q *request) (*answer, error) {
	page := q.listPage()
	repositories, err := collect(q.visitor.OnPage(page).Repositories(q.Context(), nil))
	if err != nil {
		return nil, err
	}
	return q.show(q.language.Text("Repositories"), home{Repositories: repositories, Next: q.next(page)}), nil
}

// languageTime is how long a browser keeps the choice of the language.
const languageTime = 365 * 24 * time.Hour

// chooseLanguage remembers the language in a cookie, and goes back to the page before.
func chooseLanguage(q *request) (*answer, error) {
	back := q.localPath(q.values.Get("return"))
	if l := q.page.languages.Find(q.value("to")); l != nil {
		http.SetCookie(q.writer, &http.Cookie{Name: lang.Cookie, Value: l.Code, Path: q.page.opts.Path,
			MaxAge: int(languageTime.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	return q.to(back), nil
}

// localPath returns a path of the page to which a browser may be sent, or the start page for anything else.
func (q *request) localPath(target string) string {
	if !strings.HasPrefix(target, q.page.opts.Path) || strings.HasPrefix(target, "//") ||
		strings.ContainsAny(target, "\\\r\n\t") || strings.Contains(target, "/../") {
		return q.page.opts.Path
	}
	return target
}
