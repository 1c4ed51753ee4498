package web

import (
	"errors"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// historyView is what the template "history" shows.
type historyView struct {
	*repositoryHead
	Tag   string
	Rows  []historyRow
	First string
	Next  string
	// All is the URL of the history of all tags, if this is that of one.
	All string
	// None is set if the registry keeps no history.
	None bool
}

// historyRow is a change in the history.
type historyRow struct {
	types.Change
	// Undo is the form that undoes the change, and Remove the URL of the view that does, or nil and "".
	Undo   *form
	Remove string
}

// showHistory shows the changes of a repository.
func showHistory(q *request) (*answer, error) {
	h, err := q.repositoryHead("history")
	if err != nil {
		return nil, err
	}
	v := &historyView{repositoryHead: h, Tag: q.value("tag")}
	page := q.listPage()
	list, err := collect(q.visitor.OnPage(page).History(q.Context(), h.Name, v.Tag))
	switch {
	case unsupported(err):
		v.None = true
	case errors.Is(err, client.ErrNotFound):
	case err != nil:
		return nil, unlessDenied(err)
	}
	v.Next = q.next(page)
	for i := range list {
		v.Rows = append(v.Rows, q.historyRow(h, &list[i]))
	}
	if q.values.Get("after") != "" {
		v.First = q.listURL("after", "")
	}
	if v.Tag != "" {
		v.All = q.page.repo(h.Name, "history")
	}
	return q.show(q.language.Text("History of %s", h.Name), v), nil
}

// historyRow returns a change with the form that undoes it. The API decides about each tag when the form is sent.
func (q *request) historyRow(h *repositoryHead, c *types.Change) historyRow {
	row := historyRow{Change: *c}
	if !h.Pushes || !q.has("restore") {
		return row
	}
	undo := &form{URL: q.page.repo(h.Name, "restore"), Fields: []field{{"back", q.listURL()}}}
	add := func(name, value string) { undo.Fields = append(undo.Fields, field{name, value}) }
	switch c.Change {
	case "tag", "untag":
		if c.Before == nil { // the tag was new
			if q.deletesTag(h.Name, c.Tag) {
				row.Remove = withParams(q.page.repo(h.Name, "delete"), "tag", c.Tag)
			}
			return row
		}
		if c.After != nil && c.After.Digest == c.Before.Digest {
			return row // the same image again
		}
		add("tag", c.Tag)
		add("to", c.Before.Digest)
	case "delete":
		if c.Before == nil {
			return row
		}
		add("digest", c.Before.Digest)
	case "delete-repository":
	default:
		return row
	}
	row.Undo = undo
	return row
}
