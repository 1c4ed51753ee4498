package web

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/registrykit/registry/api/client"
)

// entry is a form: the values that it shows, and what is wrong with them.
type entry struct {
	// ID is unique on a page. The ids of the fields begin with it.
	ID string
	// Text says what is wrong with the form as a whole, or is "".
	Text string
	// Version is the version of the object that the form changes, or "".
	Version client.Version
	// Reason reports whether the form asks for a reason for the audit log.
	Reason bool

	values url.Values
	errors map[string]string
	status int
}

// Value returns the value of a field.
func (e *entry) Value(name string) string { return e.values.Get(name) }

// Shown returns the value of a field without the control characters that a page must not have.
func (e *entry) Shown(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' && r != '\r' {
			return -1
		}
		return r
	}, e.Value(name))
}

// Error returns what is wrong with a field, or "".
func (e *entry) Error(name string) string { return e.errors[name] }

// Has reports whether a field has a value among several.
func (e *entry) Has(name, value string) bool {
	for _, v := range e.values[name] {
		if v == value {
			return true
		}
	}
	return false
}

// fail records what is wrong with a field, or with the form as a whole for the name "". The first text of
// a field stays.
func (e *entry) fail(name, text string) {
	if e.status == 0 {
		e.status = http.StatusBadRequest
	}
	switch {
	case name == "" && e.Text == "":
		e.Text = text
	case name != "" && e.errors[name] == "":
		if e.errors == nil {
			e.errors = map[string]string{}
		}
		e.errors[name] = text
	}
}

// typed returns the form that a request has sent. A view that is shown in the same request shows it instead of the form
// that it gets from request.entry with the same id.
func (q *request) typed(id string) *entry {
	if q.entries == nil {
		q.entries = map[string]*entry{}
	}
	if q.entries[id] == nil {
		q.entries[id] = &entry{ID: id, values: q.PostForm, Version: q.version()}
	}
	return q.entries[id]
}

// entry returns a form with values, which are pairs of a name and a value, or the one that the request has sent. A name
// may occur several times.
func (q *request) entry(id string, version client.Version, pairs ...string) *entry {
	if e := q.entries[id]; e != nil {
		return e
	}
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return &entry{ID: id, values: values, Version: version}
}

// option is a value of a field that offers a choice.
type option struct{ Value, Text string }

// again shows a view again with a form that is wrong. show makes the view; it gets the form from request.entry.
func (q *request) again(e *entry, show func(*request) (*answer, error)) (*answer, error) {
	a, err := show(q)
	if err == nil {
		a.status = e.status
	}
	return a, err
}

// refuse shows a view again if an error of the API is about what the sender has typed. The text is near its field, or
// above the form if the field is not one of fields.
//
// Errors: any other error.
func (q *request) refuse(e *entry, err error, show func(*request) (*answer, error), fields ...string) (*answer, error) {
	if !q.blame(e, err, fields...) {
		return nil, err
	}
	return q.again(e, show)
}
