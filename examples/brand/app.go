package main

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

//go:embed pages/*.html
var pages embed.FS

// app is an application with users, sessions and pages of its own. A real one would keep them in a database.
type app struct {
	users    []string
	password string // of all users, new at each start
	pages    *template.Template

	mu       sync.Mutex
	sessions map[string]string            // user by cookie
	keys     map[string][sha256.Size]byte // hash of a random key by user
}

func newApp(users ...string) *app {
	return &app{users: users, password: rand.Text(), pages: template.Must(template.ParseFS(pages, "pages/*.html")),
		sessions: map[string]string{}, keys: map[string][sha256.Size]byte{}}
}

// cookieName is the name of the cookie of a session.
const cookieName = "orchard"

// routes adds the paths of the application.
func (a *app) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", a.dashboard)
	mux.HandleFunc("GET /help", func(w http.ResponseWriter, r *http.Request) { a.show(w, r, "help", nil) })
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(style)
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		a.show(w, r, "login", map[string]string{"Return": local(r.FormValue("return"))})
	})
	same := http.NewCrossOriginProtection()
	post := func(path string, f http.HandlerFunc) { mux.Handle("POST "+path, same.Handler(f)) }
	post("/login", a.login)
	mux.HandleFunc("GET /logout", func(w http.ResponseWriter, r *http.Request) { a.show(w, r, "logout", nil) })
	post("/logout", a.logout)
	post("/key", a.newKey)
}

// local returns a path of this host to which a browser may be sent, or the start page.
func local(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") ||
		strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

// user returns the user of the session of a request, or "".
func (a *app) user(r *http.Request) string {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sessions[cookie.Value]
}

// show writes a page of the application.
func (a *app) show(w http.ResponseWriter, r *http.Request, name string, data map[string]string) {
	all := map[string]string{"User": a.user(r), "Host": r.Host}
	for key, value := range data {
		all[key] = value
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'")
	h.Set("Content-Type", "text/html; charset=utf-8")
	if err := a.pages.ExecuteTemplate(w, name+".html", all); err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
	}
}

func (a *app) dashboard(w http.ResponseWriter, r *http.Request) {
	if a.user(r) == "" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	a.show(w, r, "dashboard", nil)
}

// login begins a session, and goes on to the page that has sent the browser.
func (a *app) login(w http.ResponseWriter, r *http.Request) {
	name, back := r.PostFormValue("name"), local(r.PostFormValue("return"))
	right := subtle.ConstantTimeCompare([]byte(r.PostFormValue("password")), []byte(a.password)) == 1
	if !right || !slices.Contains(a.users, name) {
		w.WriteHeader(http.StatusForbidden)
		a.show(w, r, "login", map[string]string{"Return": back, "Name": name, "Problem": "Wrong name or password."})
		return
	}
	session := rand.Text()
	a.mu.Lock()
	a.sessions[session] = name
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: session, Path: "/", Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, back, http.StatusSeeOther)
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		a.mu.Lock()
		delete(a.sessions, cookie.Value)
		a.mu.Unlock()
	}
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

// newKey replaces the key of the user, and shows the new one.
func (a *app) newKey(w http.ResponseWriter, r *http.Request) {
	name := a.user(r)
	if name == "" {
		http.Redirect(w, r, "/login", http.StatusSeeOther)
		return
	}
	key := rand.Text()
	a.mu.Lock()
	a.keys[name] = sha256.Sum256([]byte(key)) // the key is random, so a fast hash is enough
	a.mu.Unlock()
	a.show(w, r, "dashboard", map[string]string{"Key": key})
}

// hasKey reports whether key is the current key of the user.
func (a *app) hasKey(name, key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	want, ok := a.keys[name]
	got := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && ok
}
