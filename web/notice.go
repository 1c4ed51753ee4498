package web

// notice is the line that shows the result of a change, and undoes it.
type notice struct {
	Text string
	// Undo is the form that undoes the change, or nil.
	Undo *form
}

// form is a form that a button sends.
type form struct {
	URL    string
	Fields []field
}

// field is a field of a form.
type field struct{ Name, Value string }

// notice returns the notice after a change that redirected to the view with the parameter done, or nil. texts has the
// text of each value of done, in English. Other values show nothing, so a link of another page cannot show a text of
// its own.
func (q *request) notice(texts map[string]string) *notice {
	text, ok := texts[q.values.Get("done")]
	if !ok {
		return nil
	}
	return &notice{Text: q.language.Text(text)}
}
