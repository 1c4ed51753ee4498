package web

import (
	"net/http"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// searchViews are the views of the search.
func searchViews() []view {
	return []view{{name: "search", method: "GET", path: "/search", part: "search", handle: showSearch}}
}

// Limits of the search.
const (
	shownOfKind = 10  // results of each kind, if all are shown
	shownOfOne  = 100 // results of one kind
	mostOfOne   = 1000
)

// found is what the template "search" shows.
type found struct {
	Query string
	Kind  string
	// Kinds are links to the results of each kind and of all.
	Kinds  []menuItem
	Groups []foundGroup
	// Failed says why the query cannot be used, or is "".
	Failed string
	// Unread is the number of repositories whose tags and images are not in the index yet.
	Unread int64
	// More is the URL of more results of one kind, or "".
	More string
}

// foundGroup are the results of one kind.
type foundGroup struct {
	Kind, Title string
	Results     []foundRow
	// More is the URL of all results of the kind, if there are more, or "".
	More string
}

// foundRow is a result.
type foundRow struct {
	types.SearchResult
	// URL is that of the result, or "" if the page has no view of it.
	URL  string
	What kind
	// Chips are facts that the search can be filtered by.
	Chips []chip
}

// chip is a link to the list filtered by a fact.
type chip struct{ Text, URL string }

// foundKind is a kind of results with its title.
type foundKind struct{ kind, title string }

// foundKinds are the kinds, in the order of the page.
func foundKinds() []foundKind {
	return []foundKind{{"repository", "Repositories"}, {"tag", "Tags"}, {"image", "Images and artifacts"},
		{"organisation", "Organisations"}, {"user", "Users"}}
}

// showSearch shows what matches a query, by kind. Without a query, it says what can be searched for.
func showSearch(q *request) (*answer, error) {
	f := &found{Query: q.value("q"), Kind: q.value("kind")}
	a := q.show(q.language.Text("Search"), f)
	if !isFoundKind(f.Kind) {
		return nil, errInvalid("There is no such kind of results.")
	}
	if f.Query == "" {
		return a, nil
	}
	a.title = q.language.Text("Search for %s", inert(f.Query))
	opts := &client.SearchOptions{Kind: f.Kind, Limit: mostOfOne, Each: shownOfKind}
	if f.Kind != "" {
		opts.Each = shownOfOne
		if q.value("more") != "" {
			opts.Each = mostOfOne
		}
	}
	list, err := q.visitor.Search(q.Context(), f.Query, opts)
	if refused := malformed(err); refused != nil {
		f.Failed, a.status = refused.Detail, http.StatusBadRequest
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	f.Unread = list.Unread
	f.group(q, &list)
	return a, nil
}

// isFoundKind reports whether there are results of a kind. "" stands for all kinds.
func isFoundKind(kind string) bool {
	for _, k := range foundKinds() {
		if k.kind == kind {
			return true
		}
	}
	return kind == ""
}

// group sets the groups of results, and the links to their kinds.
func (f *found) group(q *request, list *types.SearchList) {
	f.Kinds = append(f.Kinds, q.foundTab(f, "", "All"))
	for _, k := range foundKinds() {
		g := foundGroup{Kind: k.kind, Title: q.language.Text(k.title)}
		for _, r := range list.Items {
			if r.Kind == k.kind {
				g.Results = append(g.Results, q.foundRow(r))
			}
		}
		for _, more := range list.MoreOf {
			if more != k.kind {
				continue
			}
			if f.Kind == "" {
				g.More = f.url(q, k.kind)
			} else if q.value("more") == "" {
				g.More = withParams(f.url(q, k.kind), "more", "1")
			}
		}
		if len(g.Results) > 0 {
			f.Groups = append(f.Groups, g)
		}
		f.Kinds = append(f.Kinds, q.foundTab(f, k.kind, k.title))
	}
}

// url returns the URL of the results of one kind.
func (f *found) url(q *request, kind string) string {
	params := []string{"q", f.Query}
	if kind != "" {
		params = append(params, "kind", kind)
	}
	return withParams(q.page.path("search"), params...)
}

// foundTab returns the link to the results of a kind.
func (q *request) foundTab(f *found, kind, title string) menuItem {
	return tab(q.language.Text(title), f.url(q, kind), kind == f.Kind)
}

// foundRow returns a result with its link.
func (q *request) foundRow(r types.SearchResult) foundRow {
	row := foundRow{SearchResult: r}
	filter := func(text, field, value string) {
		query := field + ":" + value
		if r.Repository != "" {
			query += " repository:" + r.Repository
		}
		row.Chips = append(row.Chips, chip{text, withParams(q.page.path("search"), "q", query, "kind", "image")})
	}
	switch r.Kind {
	case "repository":
		row.URL = q.page.repo(r.Name)
	case "tag", "image":
		row.What = kindOf(r.ArtifactType, foundType(r.ArtifactType))
		row.URL = q.page.image(r.Repository, r.Digest)
		if r.Kind == "tag" {
			row.URL = q.page.image(r.Repository, r.Tag)
		}
		usual := row.What.Key == kindImage.Key || row.What.Key == kindIndex.Key
		if r.ArtifactType != "" && !usual && !strings.ContainsAny(r.ArtifactType, " \t\n") {
			filter(q.language.Text(row.What.Name), "type", r.ArtifactType)
		}
		for _, p := range r.Platforms[:min(len(r.Platforms), 4)] {
			if !strings.ContainsAny(p, " \t\n") {
				filter(p, "platform", p)
			}
		}
	case "organisation":
		if row.URL = q.page.namespace(r.Name); q.has("organisation") {
			row.URL = q.page.path("organisations", r.Name)
		}
	case "user":
		if row.URL = q.page.namespace(r.Name); q.has("user") {
			row.URL = q.page.path("users", r.Name)
		}
	}
	return row
}

// foundType returns the media type of the manifest of a result with an artifact type. Indexes have their media type as
// their artifact type.
func foundType(artifactType string) string {
	if kindOf("", artifactType).Key == kindIndex.Key {
		return artifactType
	}
	return ocispec.MediaTypeImageManifest
}

// Parts are the matches that the name of the result does not show.
func (r *foundRow) Parts() (list []types.SearchMatch) {
	for _, m := range r.Matched {
		if m.Field == "label" || m.Field == "description" || m.Field == "type" {
			list = append(list, m)
		}
	}
	return list
}
