package web

import (
	"net/http"
	"slices"
	"time"
)

// themeCookie is the name of the cookie with the colours that somebody has chosen.
const themeCookie = "registry-theme"

// themes are the values of the cookie: the names of colour schemes of CSS. Without a cookie, the system of the reader
// decides.
var themes = [...]string{"light", "dark"}

// themeViews are the choice of light or dark colours.
func themeViews() []view {
	return []view{{name: "theme", method: "GET", path: "/theme", handle: chooseTheme}}
}

// chooseTheme remembers the colours in a cookie, and goes back to the page before.
func chooseTheme(q *request) (*answer, error) {
	chosen := q.value("to")
	if !slices.Contains(themes[:], chosen) {
		chosen = ""
	}
	q.remember(themeCookie, chosen)
	return q.to(q.localPath(q.values.Get("return"))), nil
}

// choiceTime is how long a browser keeps a choice of the reader.
const choiceTime = 365 * 24 * time.Hour

// remember stores a choice of the reader in a cookie, or removes the cookie for "".
func (q *request) remember(cookie, choice string) {
	seconds := int(choiceTime.Seconds())
	if choice == "" {
		seconds = -1
	}
	http.SetCookie(q.writer, &http.Cookie{Name: cookie, Value: choice, Path: q.page.opts.Path, MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// theme returns the colours that the sender has chosen, or "".
func (q *request) theme() string {
	if c, err := q.Cookie(themeCookie); err == nil && slices.Contains(themes[:], c.Value) {
		return c.Value
	}
	return ""
}

// themes sets the colours of the page and the links that change them.
func (q *request) themes(f *frame) {
	t, chosen := q.language.Text, q.theme()
	f.ColorScheme = chosen
	if chosen == "" {
		f.ColorScheme = "light dark"
	}
	if !q.has("theme") {
		return
	}
	for _, choice := range []menuItem{
		{Title: t("System"), URL: "system"}, {Title: t("Light"), URL: themes[0]}, {Title: t("Dark"), URL: themes[1]},
	} {
		if choice.URL == chosen || choice.URL == "system" && chosen == "" {
			choice.Current = "true"
		}
		choice.URL = withParams(q.page.path("theme"), "to", choice.URL, "return", f.Path)
		f.Themes = append(f.Themes, choice)
	}
}
