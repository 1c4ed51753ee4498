package web

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/web/internal/lang"
)

// Limits of requests.
const (
	maxForm  = 1 << 20 // bytes
	pageSize = 50      // elements of a list on a page
)

// request is a request with its sender.
type request struct {
	*http.Request
	page     *Page
	writer   http.ResponseWriter
	visitor  *api.Visitor
	view     *view
	params   map[string]string
	language *lang.Language
	now      time.Time
	// values are the parameters of the query and, of a POST, of the form.
	values url.Values
	// entries are the forms that the request has sent, by their ids; see request.typed.
	entries map[string]*entry
}

// parse reads the query and the form.
//
// Errors: 400, 413 and 415.
func (q *request) parse() (err error) {
	if q.values, err = url.ParseQuery(q.URL.RawQuery); err != nil {
		return errInvalid("The address of the page is malformed.")
	}
	if q.Method != http.MethodPost {
		return valid(q.values)
	}
	mediaType, _, err := mime.ParseMediaType(q.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		return errMediaType
	}
	q.Body = http.MaxBytesReader(q.writer, q.Body, maxForm)
	if err := q.ParseForm(); err != nil {
		if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
			return errTooLarge
		}
		return errInvalid("The form is malformed.")
	}
	for name, list := range q.PostForm {
		q.values[name] = list
	}
	return valid(q.values)
}

// valid returns an error for parameters that are not UTF-8.
func valid(values url.Values) error {
	for name, list := range values {
		for _, text := range append(list, name) {
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				return errInvalid("A parameter is not valid UTF-8.")
			}
		}
	}
	return nil
}

// param returns a parameter of the path, unescaped.
func (q *request) param(name string) string { return q.params[name] }

// value returns a parameter of the query or the form, without spaces around it, or "".
func (q *request) value(name string) string { return strings.TrimSpace(q.values.Get(name)) }

// version returns the version of the object that a form changes. A form without one changes nothing, and neither does
// one with "*" or with several: it has not seen what it changes.
func (q *request) version() client.Version {
	v := q.values.Get("version")
	if len(v) < 2 || v[0] != '"' || strings.IndexByte(v[1:], '"') != len(v)-2 {
		return `""`
	}
	return client.Version(v)
}

// signedIn reports whether the sender has a name.
func (q *request) signedIn() bool { return !q.visitor.Identity().Anonymous() }

// may reports whether the sender has all of accesses, for the buttons of a view. An error counts as no.
func (q *request) may(accesses ...auth.Access) bool {
	ok, err := q.visitor.Allows(q.Context(), accesses...)
	return ok && err == nil
}

// mayRepository reports whether the sender may do something in a repository.
func (q *request) mayRepository(repo string, action auth.Action) bool {
	return q.may(auth.Access{Type: auth.TypeRepository, Name: repo, Action: action})
}

// mayRegistry reports whether the sender may do something with a part of the registry, such as auth.NameJobs.
func (q *request) mayRegistry(name string, action auth.Action) bool {
	return q.may(auth.Access{Type: auth.TypeRegistry, Name: name, Action: action})
}

// mayAccount reports whether the sender may do something with an account.
func (q *request) mayAccount(name string, action auth.Action) bool {
	return q.may(auth.Access{Type: auth.TypeAccount, Name: name, Action: action})
}

// has reports whether the page has a view, for links to it.
func (q *request) has(name string) bool { return q.page.has(name) }

// has reports whether the page has a view.
func (p *Page) has(name string) bool {
	for i := range p.views {
		if p.views[i].name == name {
			return true
		}
	}
	return false
}

// registryHost returns the host of the registry for pull commands.
func (q *request) registryHost() string {
	if q.page.opts.Registry != "" {
		return q.page.opts.Registry
	}
	return q.Host
}

// listPage returns the page of a list that the query asks for.
func (q *request) listPage() *client.Page {
	return &client.Page{After: q.values.Get("after"), Limit: pageSize}
}

// collect reads a page of a list.
func collect[T any](list func(func(T, error) bool)) (all []T, err error) {
	for v, err := range list {
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}
