package web

import (
	"github.com/registrykit/registry/web/internal/lang"
)

// languageViews are the choice of the language.
func languageViews() []view {
	return []view{{name: "language", method: "GET", path: "/language", handle: chooseLanguage}}
}

// languageChoice is a link in the footer.
type languageChoice struct {
	Code, Title, URL string
	Current          bool
}

// chooseLanguage remembers the language in a cookie, and goes back to the page before.
func chooseLanguage(q *request) (*answer, error) {
	if l := q.page.languages.Find(q.value("to")); l != nil {
		q.remember(lang.Cookie, l.Code)
	}
	return q.to(q.localPath(q.values.Get("return"))), nil
}
