package web

import (
	"slices"
	"time"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// binViews are the views of the bin.
func binViews() []view {
	return []view{{name: "bin", method: "GET", path: "/bin", part: "bin", handle: showBin}}
}

// bin is what the template "bin" shows.
type bin struct {
	Rows      []binRow
	Notice    *notice
	Query     string
	Namespace string
	// Mine is set if only deletes by the sender are shown.
	Mine bool
	// Times and People are links to other selections.
	Times, People []menuItem
	// Filtered is set if deletes may be left out.
	Filtered    bool
	All         string
	First, Next string
	// Restorable is set if a row can be restored, or is back already.
	Restorable bool
}

// binRow is a delete.
type binRow struct {
	types.Deleted
	// Undo is the form that restores it, or nil.
	Undo *form
	// State says what is there now: "back", "moved" or "".
	State string
}

// binTimes are the choices of how far back the bin goes, by the value of the parameter since.
var binTimes = []struct {
	value, title string
	since        time.Duration
}{{"day", "Last 24 hours", 24 * time.Hour}, {"week", "Last 7 days", 7 * 24 * time.Hour}, {"", "All", 0}}

// showBin shows what was deleted. A page of the API is by repository; the rows of a page are shown by time.
func showBin(q *request) (*answer, error) {
	if err := q.need(q.signedIn()); err != nil {
		return nil, err
	}
	name := q.visitor.Identity().Name
	v := &bin{Query: q.value("q"), Namespace: q.value("namespace"), Mine: q.value("by") == "me"}
	opts := &client.BinOptions{Query: v.Query, Namespace: v.Namespace}
	if v.Mine {
		opts.By = name
	}
	for _, choice := range binTimes {
		current := ""
		if q.value("since") == choice.value {
			current = "true"
			if choice.since > 0 {
				opts.Since = q.now.Add(-choice.since)
			}
		}
		v.Times = append(v.Times, menuItem{Title: q.language.Text(choice.title), Current: current,
			URL: q.listURL("since", choice.value, "after", "")})
	}
	for _, choice := range [][2]string{{"", "By everybody"}, {"me", "By me"}} {
		current := ""
		if v.Mine == (choice[0] != "") {
			current = "true"
		}
		v.People = append(v.People, menuItem{Title: q.language.Text(choice[1]), Current: current,
			URL: q.listURL("by", choice[0], "after", "")})
	}
	page := q.listPage()
	list, err := collect(q.visitor.OnPage(page).Bin(q.Context(), opts))
	if err != nil {
		return nil, unlessDenied(err)
	}
	slices.SortStableFunc(list, func(x, y types.Deleted) int { return y.Time.Compare(x.Time) })
	for i := range list {
		row := q.binRow(&list[i])
		v.Rows, v.Restorable = append(v.Rows, row), v.Restorable || row.Undo != nil || row.State != ""
	}
	v.Filtered = v.Query != "" || v.Namespace != "" || v.Mine || !opts.Since.IsZero()
	v.All, v.Next = q.page.path("bin"), q.next(page)
	if q.values.Get("after") != "" {
		v.First = q.listURL("after", "")
	}
	v.Notice = q.notice(map[string]string{"restored": "It was restored."})
	return q.show(q.language.Text("Bin"), v), nil
}

// binRow returns a delete with the form that restores it.
func (q *request) binRow(d *types.Deleted) binRow {
	row := binRow{Deleted: *d}
	undo := &form{URL: q.page.repo(d.Repository, "restore"), Fields: []field{{"back", q.listURL()}}}
	add := func(name, value string) { undo.Fields = append(undo.Fields, field{name, value}) }
	digest := digestOf(d.Manifest)
	switch d.Change {
	case "untag":
		version := ""
		switch {
		case d.Exists && d.Now == digest:
			row.State = "back"
		case d.Exists:
			row.State, version = "moved", `"`+d.Now+`"`
		}
		add("tag", d.Tag)
		add("to", digest)
		add("version", version)
	case "delete":
		if d.Exists {
			row.State = "back"
		}
		add("digest", digest)
	case "delete-repository":
		if d.Exists {
			row.State = "again"
		}
	}
	whole := d.Change == "delete-repository"
	if d.Restorable && row.State != "back" && q.has("restore") && (whole || digest != "") {
		row.Undo = undo
	}
	return row
}
