// Package setup is the page on which the first admin of a hub is made. Its link contains a one-time token. The page has
// no script: the token is a part of the path, which logs must not contain, see [LogPath].
package setup

import (
	"context"
	_ "embed" // page.html
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// Path is the path of the page. The token follows it.
const Path = "/setup/"

// maxForm is the maximum size of the form, in bytes.
const maxForm = 16 << 10

//go:embed page.html
var page string

// People are the accounts. *accounts.Accounts implements it.
type People interface {
	Admins(ctx context.Context) ([]accounts.ID, error)
	SetUp(ctx context.Context, token auth.Secret, name, password string) (*accounts.Account, error)
}

// Page is the page.
type Page struct {
	people People
	log    *slog.Logger
	html   *template.Template
}

// New returns the page.
func New(people People, log *slog.Logger) *Page {
	return &Page{people, log, template.Must(template.New("page").Parse(page))}
}

// content is what the page shows.
type content struct {
	Token, Name string // of the form
	Problem     string
	Done        string // the name of the admin who was made
	Closed      bool   // there is an admin
	Host        string
}

// ServeHTTP shows the form, and makes the first admin by a POST of it. Everything about a wrong token is the same as
// about a right one, until the form is sent.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the path has the token
	h.Set("X-Content-Type-Options", "nosniff")
	admins, err := p.people.Admins(r.Context())
	switch {
	case err != nil:
		p.show(w, r, http.StatusServiceUnavailable, content{Problem: "The storage does not respond. Try again later."})
		p.log.ErrorContext(r.Context(), "setup failed", "error", err)
	case r.Method == http.MethodPost:
		p.setUp(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "the method must be GET or POST", http.StatusMethodNotAllowed)
	case len(admins) > 0:
		p.show(w, r, http.StatusGone, content{Closed: true})
	default:
		p.show(w, r, http.StatusOK, content{Token: strings.TrimPrefix(r.URL.Path, Path)})
	}
}

// setUp makes the first admin. SetUp itself refuses if there is one, except for a repetition of the call that made it.
func (p *Page) setUp(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.show(w, r, http.StatusBadRequest, content{Problem: "The form could not be read."})
		return
	}
	c := content{Token: r.PostForm.Get("token"), Name: r.PostForm.Get("name")}
	password := r.PostForm.Get("password")
	if password != r.PostForm.Get("again") {
		c.Problem = "The passwords differ."
		p.show(w, r, http.StatusUnprocessableEntity, c)
		return
	}
	admin, err := p.people.SetUp(r.Context(), auth.Secret(c.Token), c.Name, password)
	switch {
	case err == nil, errors.Is(err, accounts.ErrNotified) && admin != nil:
		p.log.InfoContext(r.Context(), "the first admin was made", "name", admin.Name)
		p.show(w, r, http.StatusOK, content{Done: admin.Name, Host: r.Host})
	case errors.Is(err, accounts.ErrSetup):
		c.Problem = "This link was used, or a later one has replaced it. The log of the hub has the last one."
		p.show(w, r, http.StatusForbidden, c)
	case errors.Is(err, accounts.ErrInvalid), errors.Is(err, accounts.ErrTaken):
		c.Problem = strings.TrimPrefix(err.Error(), "accounts: ")
		p.show(w, r, http.StatusUnprocessableEntity, c)
	default:
		p.log.ErrorContext(r.Context(), "setup failed", "error", err)
		c.Problem = "The admin was not made. Try again later."
		p.show(w, r, http.StatusServiceUnavailable, c)
	}
}

// show sends the page.
func (p *Page) show(w http.ResponseWriter, r *http.Request, status int, c content) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if err := p.html.Execute(w, c); err != nil {
		p.log.DebugContext(r.Context(), "the page of the setup was not sent", "error", err)
	}
}

// LogPath returns a path for a log, without the token.
func LogPath(path string) string {
	if len(path) > len(Path) && strings.HasPrefix(path, Path) {
		return Path + "<token>"
	}
	return path
}
