package page

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/demosite"
	"github.com/registrykit/registry/internal/wellformed"
	"github.com/registrykit/registry/web"
)

// view is a page of a site as a caller sees it.
type view struct {
	name   string // of the template
	caller string
	path   string // with the query
	status int
	body   []byte
}

// at returns the view with its caller, for messages.
func (v *view) at() string { return fmt.Sprintf("%s as %q: %s", v.name, v.caller, v.path) }

// viewClass matches the class of the body of a page, which names its view.
var viewClass = regexp.MustCompile(`^view-([a-z-]+)$`)

// Bounds of a crawl.
const (
	maxPages   = 250 // of one caller
	maxPerView = 6   // pages of one view whose links are followed
	maxPerForm = 12  // pages whose paths have the same form
)

// crawl returns the pages to which the links and the search forms of a site lead a caller, breadth first.
func (s *site) crawl(t *testing.T, caller string) (views []*view) {
	t.Helper()
	seen, followed, forms := map[string]bool{}, map[string]int{}, map[string]int{}
	// A link leads to /namespaces where the start page does not show all of them.
	queue := []string{"/", "/namespaces", "/no-such-page", "/sign-in", "/sign-up", "/setup", "/search?q=a", "/search?q=~"}
	for len(queue) > 0 && len(views) < maxPages {
		path := queue[0]
		queue = queue[1:]
		if seen[path] || forms[formOf(path)] >= maxPerForm {
			continue
		}
		seen[path] = true
		forms[formOf(path)]++
		v := s.load(t, caller, path)
		if v == nil {
			continue
		}
		views = append(views, v)
		if followed[v.name]++; followed[v.name] > maxPerView || v.status != http.StatusOK {
			continue
		}
		queue = append(queue, s.links(t, v)...)
	}
	return views
}

// formOf returns what the paths of a view have in common: the first component, the one after "/-/", or the number of
// components, and the names of the parameters. So the many images of a repository do not hide other views.
func formOf(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	form := fmt.Sprint(parts[0], len(parts))
	if i := slices.Index(parts, "-"); i > 0 && i+1 < len(parts) {
		form = parts[0] + "/-/" + parts[i+1]
	} else if parts[0] == "repositories" || parts[0] == "namespaces" {
		form = fmt.Sprint(parts[0], len(parts) > 1)
	}
	return form + fmt.Sprint(slices.Sorted(maps.Keys(u.Query())))
}

// load requests a page, and checks its markup. It returns nil for what is no page.
func (s *site) load(t *testing.T, caller, path string) *view {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.urls[caller]+path, nil)
	require.NoError(t, err)
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer res.Body.Close()
	if res.StatusCode/100 == 3 || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		return nil
	}
	v := &view{caller: caller, path: path, status: res.StatusCode}
	v.body, err = io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Less(t, res.StatusCode, 500, v.at())
	assert.NoError(t, wellformed.Check(v.body), v.at())
	name := viewClass.FindStringSubmatch(v.doc(t).Find("body").AttrOr("class", ""))
	require.NotNil(t, name, v.at())
	v.name = name[1]
	return v
}

// doc returns the page.
func (v *view) doc(t *testing.T) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(string(v.body)))
	require.NoError(t, err)
	return doc
}

// notFollowed matches paths that lead to no page of their own, or change what the browser keeps.
var notFollowed = regexp.MustCompile(`^/(assets|v2|api|signin|language|theme)(/|\?|$)`)

// links returns the paths of the links of a page, and of its forms that are sent by GET, with the
// values that they have.
func (s *site) links(t *testing.T, v *view) (paths []string) {
	t.Helper()
	base, err := url.Parse(s.urls[v.caller] + v.path)
	require.NoError(t, err)
	add := func(target string) {
		u, err := base.Parse(target)
		if err == nil && u.Host == base.Host && !notFollowed.MatchString(u.RequestURI()) {
			paths = append(paths, u.RequestURI())
		}
	}
	doc := v.doc(t)
	doc.Find("a[href]").Each(func(_ int, a *goquery.Selection) { add(a.AttrOr("href", "")) })
	doc.Find("form").Each(func(_ int, f *goquery.Selection) {
		if strings.EqualFold(f.AttrOr("method", "get"), "get") && f.AttrOr("role", "") != "search" {
			f.Find("button").Each(func(_ int, b *goquery.Selection) {
				add(b.AttrOr("formaction", f.AttrOr("action", "")) + "?" + values(f).Encode())
			})
		}
	})
	return paths
}

// values returns the values of a form, with its first checkbox checked.
func values(f *goquery.Selection) url.Values {
	all := url.Values{}
	checked := false
	f.Find("input[name], select[name], textarea[name]").Each(func(_ int, e *goquery.Selection) {
		switch e.AttrOr("type", "") {
		case "checkbox", "radio":
			if checked {
				return
			}
			checked = true
		}
		value := e.AttrOr("value", e.Text())
		if goquery.NodeName(e) == "select" {
			value = e.Find("option[selected]").AttrOr("value", e.Find("option").First().AttrOr("value", ""))
		}
		all.Add(e.AttrOr("name", ""), value)
	})
	return all
}

// chosen returns at most n views of each name and status that differ in their paths, those of the first callers first.
func chosen(views []*view, n int) (some []*view) {
	count := map[string]int{}
	for _, v := range views {
		key := fmt.Sprint(v.name, v.status)
		if count[key] < n {
			count[key]++
			some = append(some, v)
		}
	}
	return some
}

// all returns the views of all callers of a site. A site is crawled once.
func (s *site) all(t *testing.T) []*view {
	t.Helper()
	if s.views != nil {
		return s.views
	}
	for _, caller := range callers {
		if s.urls[caller] != "" {
			s.views = append(s.views, s.crawl(t, caller)...)
		}
	}
	return s.views
}

// withoutPage are names of views that no crawl can see, with the reason.
var withoutPage = map[string]string{
	"language": "goes back to the page before", "theme": "goes back to the page before",
	"restore": "is sent by buttons", "setup": "exists until there is an admin",
	"sign-out": "is for hosts without sessions",
}

// TestEveryViewIsSeen: links lead to every view of the page, in each set of data that has it, and
// each page is well-formed.
func TestEveryViewIsSeen(t *testing.T) {
	names, sets := map[string]bool{"error": true}, []demosite.Data{demosite.Full}
	if *full {
		sets = demosite.Sets()
	}
	for _, data := range sets {
		for _, v := range newSite(t, data).all(t) {
			names[v.name] = true
		}
	}
	for _, name := range web.Views() {
		if withoutPage[name] == "" && !names[name] {
			t.Errorf("no link leads to the view %q", name)
		}
	}
	t.Logf("%d views", len(names))
	require.True(t, slices.Contains(web.Views(), "home"))
}
