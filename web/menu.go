package web

import (
	"strings"

	"github.com/registrykit/registry/auth"
)

// menuItem is a link of a menu, or a tab.
type menuItem struct {
	Title, URL string
	// Current is the value of aria-current: "page" for the view itself, "true" for a view above it, or "".
	Current string
}

// tab returns a tab: a link to one of the views of an object.
func tab(title, url string, current bool) menuItem {
	item := menuItem{Title: title, URL: url}
	if current {
		item.Current = "page"
	}
	return item
}

// menuEntry is a view of a menu that exists if shown is true.
type menuEntry struct {
	shown       bool
	name, title string
}

// menus sets the menus of the header: the views that the caller may see.
func (q *request) menus(f *frame) {
	signed := q.signedIn()
	f.Menu = append([]menuItem{{Title: q.language.Text("Repositories"), URL: q.page.path(), Current: q.atHome()}},
		q.menu([]menuEntry{
			{signed, "organisations", "Organisations"},
			{signed, "usage", "Usage"},
			{signed, "events", "Events"},
			{signed, "bin", "Bin"},
		})...)
	if !signed {
		return
	}
	f.Administration = q.menu([]menuEntry{
		{q.mayRegistry(auth.NameAccounts, auth.Manage), "users", "Users"},
		{q.mayRegistry(auth.NameRules, auth.Read), "access", "Access"},
		{q.mayRegistry(auth.NameJobs, auth.Read), "jobs", "Jobs"},
		{q.mayRegistry(auth.NameRetention, auth.Read), "retention", "Retention"},
		{q.mayRegistry(auth.NameQuota, auth.Read), "quotas", "Quotas"},
		{q.mayRegistry(auth.NameScrub, auth.Read), "scrub", "Scrub"},
		{q.mayRegistry(auth.NameMirror, auth.Read), "mirror", "Mirror"},
		{q.mayRegistry(auth.NameWebhooks, auth.Manage), "webhooks", "Webhooks"},
		{q.mayRegistry(auth.NameAudit, auth.Read), "audit", "Audit log"},
	})
	f.Account = q.accountMenu()
}

// menu returns the links of a menu.
func (q *request) menu(entries []menuEntry) (items []menuItem) {
	for _, e := range entries {
		if !e.shown || !q.has(e.name) {
			continue
		}
		item := menuItem{Title: q.language.Text(e.title), URL: q.page.path(e.name)}
		below := q.below()
		switch {
		case below == e.name:
			item.Current = "page"
		case strings.HasPrefix(below, e.name+"/"):
			item.Current = "true"
		}
		items = append(items, item)
	}
	return items
}

// atHome returns the value of aria-current for the link to the repositories.
func (q *request) atHome() string {
	below := q.below()
	switch first, _, _ := strings.Cut(below, "/"); first {
	case "":
		return "page"
	case "repositories", "namespaces", "search":
		return "true"
	}
	return ""
}

// crumbs returns links to the namespaces above a repository or a prefix.
func (p *Page) crumbs(name string) (items []menuItem) {
	parts := strings.Split(name, "/")
	for i, part := range parts[:len(parts)-1] {
		item := menuItem{Title: part}
		if p.hasPath("/namespaces/{prefix}") {
			item.URL = p.namespace(strings.Join(parts[:i+1], "/"))
		}
		items = append(items, item)
	}
	return items
}

// hasPath reports whether the page has a view with a path.
func (p *Page) hasPath(path string) bool {
	for i := range p.views {
		if p.views[i].path == path {
			return true
		}
	}
	return false
}

// accountMenu returns the links of the menu with the name of the sender.
func (q *request) accountMenu() []menuItem {
	items := q.menu([]menuEntry{
		{true, "profile", "Profile"}, {true, "tokens", "Tokens"}, {true, "sessions", "Sessions"},
	})
	if q.mayAccount(q.visitor.Identity().Name, auth.Manage) {
		items = append(items, q.ownRobots()...)
	}
	return items
}

// ownRobots returns the link to the robots of the sender, if there is such a view.
func (q *request) ownRobots() []menuItem {
	if !q.has("robots") {
		return nil
	}
	item := menuItem{Title: q.language.Text("Robots"), URL: q.page.path("robots", q.visitor.Identity().Name)}
	if own := q.URL.EscapedPath(); own == item.URL || strings.HasPrefix(own, item.URL+"/") {
		item.Current = "true"
	}
	return []menuItem{item}
}
