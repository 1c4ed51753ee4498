package web

import (
	"errors"
	"html/template"
	"net/http"
	"slices"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/web/internal/lang"
	"github.com/registrykit/registry/web/internal/markdown"
)

// tagsView is what the template "repository" shows.
type tagsView struct {
	*repositoryHead
	Rows  []tagRow
	Query string
	Sort  string
	// Columns are the columns by which the list can be sorted, by the name of the order.
	Columns map[string]column
	// First and Next are the URLs of the first page, if this is another one, and of the following page, or "".
	First, Next string
	// All is the URL of the list without the filter. Failed says why the filter matches nothing.
	All, Failed string
	// Deletable reports whether the sender may delete one of the tags.
	Deletable bool
	// Description is the description as HTML.
	Description template.HTML
	// Command pulls the tag that is most likely wanted.
	Command string
}

// column is a column of a table by which it can be sorted.
type column struct {
	Title, URL string
	// Order is the value of aria-sort, or "".
	Order string
}

// tagRow is a row of the table of tags.
type tagRow struct {
	types.Tag
	Kind          kind
	Platforms     []string
	MorePlatforms int
	// Same are the other tags of the page that are the same image, and MoreSame how many are left out.
	Same     []string
	MoreSame int
	Attached []kind
	// Deletes reports whether the sender may delete the tag.
	Deletes bool
}

// orders are the orders of the list of tags: the names of the columns, and whether a click begins with the descending
// order.
var orders = []struct {
	name, title string
	descending  bool
}{{"name", "Name", false}, {"version", "Tag", true}, {"set", "Set", true}}

// showTags shows the tags of a repository.
func showTags(q *request) (*answer, error) {
	h, err := q.repositoryHead("repository")
	if err != nil {
		return nil, err
	}
	v := &tagsView{repositoryHead: h, Query: q.value("q"), Sort: q.value("sort")}
	if v.Sort == "" {
		v.Sort = "-version"
	}
	status := http.StatusOK
	if h.Repository.Exists {
		if status, err = q.readTags(v); err != nil {
			return nil, err
		}
	}
	q.sortColumns(v)
	if q.values.Get("after") != "" {
		v.First = q.listURL("after", "")
	}
	if v.Query != "" {
		v.All = q.listURL("after", "", "q", "")
	}
	if v.First == "" && v.Query == "" && h.Repository.Description != "" {
		v.Description = markdown.HTML(h.Repository.Description)
	}
	v.Command = q.pullCommand(v)
	a := q.show(h.Name, v)
	a.status = status
	return a, nil
}

// readTags reads the tags of the page. The status is 400 for a filter that the API refuses.
func (q *request) readTags(v *tagsView) (status int, err error) {
	page := q.listPage()
	opts := &client.TagsOptions{Query: v.Query, Sort: v.Sort, Details: true}
	tags, err := collect(q.visitor.OnPage(page).Tags(q.Context(), v.Name, opts))
	if answeredWith(err, "TOO_MANY_TAGS") != nil {
		v.Sort, opts.Sort = "name", "name"
		tags, err = collect(q.visitor.OnPage(page).Tags(q.Context(), v.Name, opts))
	}
	if refused := malformed(err); refused != nil && v.Query != "" {
		v.Failed = refused.Detail
		return http.StatusBadRequest, nil
	}
	if errors.Is(err, client.ErrNotFound) {
		return http.StatusOK, nil // the last tag was deleted meanwhile
	}
	if err != nil {
		return 0, unlessDenied(err)
	}
	v.Next = q.next(page)
	same := map[string][]string{}
	for i := range tags {
		same[tags[i].Digest] = append(same[tags[i].Digest], tags[i].Name)
	}
	for i := range tags {
		row := q.tagRow(v.Name, &tags[i], same[tags[i].Digest])
		v.Rows, v.Deletable = append(v.Rows, row), v.Deletable || row.Deletes
	}
	return http.StatusOK, nil
}

// tagRow returns a row of the table. same are all tags of the page with the same image.
func (q *request) tagRow(repo string, t *types.Tag, same []string) tagRow {
	const shown = 3
	row := tagRow{Tag: *t}
	for _, name := range same {
		if name != t.Name {
			row.Same = append(row.Same, name)
		}
	}
	if len(row.Same) > shown {
		row.Same, row.MoreSame = row.Same[:shown], len(row.Same)-shown
	}
	if d := t.Details; d != nil {
		row.Kind = kindOf(d.ArtifactType, t.MediaType)
		row.Platforms, row.MorePlatforms = platformTexts(d.Platforms)
		row.Attached = attachedKinds(d.Attached)
	}
	row.Deletes = q.deletesTag(repo, t.Name)
	return row
}

// deletesTag reports whether the sender may delete a tag. Rules can protect some tags; then nobody
// may delete by digest.
func (q *request) deletesTag(repo, tag string) bool {
	return q.has("delete") && q.may(auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Delete, Tag: tag})
}

// attachedKinds returns the kinds of what is attached to an image, each once.
func attachedKinds(list []types.Attached) []kind {
	var all []kind
	for _, a := range list {
		k := kindOf(a.ArtifactType, "")
		if !slices.ContainsFunc(all, func(other kind) bool { return other.Key == k.Key }) {
			all = append(all, k)
		}
	}
	return all
}

// Range reports whether the images of an index have different sizes, so that the smallest and the largest are shown.
func (r *tagRow) Range() bool {
	d := r.Details
	return d.Smallest > 0 && lang.Bytes(d.Smallest) != lang.Bytes(d.Largest)
}

// OneSize returns the size of a pull, if it is about the same for all platforms.
func (r *tagRow) OneSize() int64 {
	if d := r.Details; d.Largest > 0 {
		return d.Largest
	}
	return r.Details.TotalSize
}

// pullCommand returns the command that pulls the tag "latest", or the first one of the page: that
// of docker for an image, and that of Helm for a chart, for example.
func (q *request) pullCommand(v *tagsView) string {
	if len(v.Rows) == 0 {
		return v.Pull("")
	}
	row := &v.Rows[max(0, slices.IndexFunc(v.Rows, func(r tagRow) bool { return r.Name == "latest" }))]
	if first := q.commands(v.Name, row.Name, row.Digest, "", row.Kind).First; len(row.Kind.Tools) > 0 &&
		row.Kind.Tools[0] != docker && first != "" {
		return first
	}
	if row.Name == "latest" { // the default
		return v.Pull("")
	}
	return v.Pull(row.Name)
}

// sortColumns sets the links that sort the list.
func (q *request) sortColumns(v *tagsView) {
	v.Columns = map[string]column{}
	for _, o := range orders {
		c := column{Title: q.language.Text(o.title)}
		to := o.name
		switch {
		case v.Sort == o.name:
			c.Order, to = "ascending", "-"+o.name
		case v.Sort == "-"+o.name:
			c.Order = "descending"
		case o.descending:
			to = "-" + o.name
		}
		c.URL = q.listURL("after", "", "sort", to)
		v.Columns[o.name] = c
	}
}
