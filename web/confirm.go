package web

import (
	"errors"

	"github.com/registrykit/registry/api/client"
)

// confirmation is a page that asks before a change that destroys something.
type confirmation struct {
	// Title is the question, Points say what happens, and Button confirms it. They are translated.
	Title, Button string
	Points        []string
	// Typed is a name that the sender must type, or "".
	Typed string
	// URL is where the form is sent, and Cancel the page to go back to.
	URL, Cancel string
	// Fields are hidden fields of the form.
	Fields []field
	// Choices are options of which the sender chooses one, in a field with the name ChoiceName, or none.
	ChoiceName, ChoiceLabel string
	Choices                 []option
	// Form has the values, the version and the errors.
	Form *entry
}

// confirm shows a confirmation.
func (q *request) confirm(c *confirmation) (*answer, error) {
	return &answer{title: c.Title, template: "confirm", data: c}, nil
}

// texts returns texts in the language of the request.
func (q *request) texts(english []string) (texts []string) {
	for _, text := range english {
		texts = append(texts, q.language.Text(text))
	}
	return texts
}

// graceTimes are the choices of when something ends that has a successor, in seconds.
func (q *request) graceTimes() []option {
	t := q.language.Text
	return []option{{"0", t("at once")}, {"3600", t("in an hour")}, {graceDefault, t("in a day")},
		{"604800", t("in a week")}}
}

// graceDefault is the choice of a form that was not changed.
const graceDefault = "86400"

// confirmed reports whether the sender has typed a name that a confirmation asks for.
func (q *request) confirmed(e *entry, name string) bool {
	if q.value("typed") == name {
		return true
	}
	e.fail("typed", q.language.Text("Type %s to confirm.", name))
	return false
}

// step is a change that asks for a confirmation: the view GET shows what will happen, and POST makes the change.
type step struct {
	// view is the name of the views, path their path, and part the part of the API.
	view, path, part string
	// ask returns the confirmation, with the form that request.asked returns. step sets its URL.
	ask func(*request) (*confirmation, error)
	// do makes the change, and returns where the result is shown.
	do func(*request) (*answer, error)
	// texts are what the page says for a code of an error of the API, such as "LAST", in English.
	texts map[string]string
}

// confirmForm is the id of the form of a confirmation.
const confirmForm = "confirm"

// asked returns the form of a confirmation with the version of what it changes.
func (q *request) asked(version client.Version, pairs ...string) *entry {
	return q.entry(confirmForm, version, pairs...)
}

// stepViews returns the views of steps.
func stepViews(steps ...step) (views []view) {
	for i := range steps {
		s := &steps[i]
		views = append(views, view{name: s.view, method: "GET", path: s.path, part: s.part, handle: s.show},
			view{name: s.view, method: "POST", path: s.path, part: s.part, handle: s.change})
	}
	return views
}

// show shows the confirmation.
func (s *step) show(q *request) (*answer, error) {
	c, err := s.ask(q)
	if err != nil {
		return nil, unlessDenied(err)
	}
	c.URL = q.here()
	return q.confirm(c)
}

// change makes the change, unless the sender has not typed the name that the confirmation asks for.
func (s *step) change(q *request) (*answer, error) {
	e := q.typed(confirmForm)
	c, err := s.ask(q)
	if err != nil {
		return nil, err
	}
	if c.Typed != "" && !q.confirmed(e, c.Typed) {
		return q.again(e, s.show)
	}
	a, err := s.do(q)
	var answered *client.Error
	if errors.As(err, &answered) && s.texts[answered.Code] != "" {
		e.status = answered.Status
		e.fail("", q.language.Text(s.texts[answered.Code]))
		return q.again(e, s.show)
	}
	if err != nil {
		return q.refuse(e, err, s.show, "reason", "typed")
	}
	return a, nil
}
