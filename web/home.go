package web

import (
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/parallel"
)

// homeViews are the views of the start page and the namespaces.
func homeViews() []view {
	return []view{
		{name: "home", method: "GET", path: "/", handle: showHome},
		{name: "namespaces", method: "GET", path: "/namespaces", part: "search", handle: showNamespaces},
		{name: "namespace", method: "GET", path: "/namespaces/{prefix}", handle: showNamespace},
	}
}

// Limits of the start page and of the view of a namespace.
const (
	shownNamespaces = 24 // namespaces beside the repositories
	listedPages     = 3  // pages of the API that are read for one page, if the caller sees few repositories
)

// home is what the template "home" shows.
type home struct {
	repositories
	Namespaces *namespaces
	// Total is the usage of the whole registry, or nil.
	Total *types.Usage
	// Quota is what the namespace of the caller uses, or nil.
	Quota  *ownQuota
	Health []health
	// Commands are those of the first push.
	Commands []string
	Signed   bool
	// Pushes reports whether the sender is signed in, or may push without that.
	Pushes bool
	SignIn string // URL, or ""
}

// repositories is a page of a list of repositories.
type repositories struct {
	Rows []types.RepositorySummary
	// First and Next are the URLs of the first page, if this is another one, and of the following page, or "".
	First, Next string
	// Pulled, Sized and Pushed report whether something is known for the column.
	Pulled, Sized, Pushed bool
}

// namespaces are the prefixes directly below a prefix.
type namespaces struct {
	types.NamespaceList
	Prefix string
	// All is the URL of the list of all, if some are left out, or "".
	All string
}

// ownQuota is how much of its quota a namespace uses.
type ownQuota struct {
	Prefix    string
	Used, Max int64
}

// health is a line of the state of the registry.
type health struct {
	Title, URL string
	// Good and Warning are short texts of which one may be "". Notes are further lines.
	Good, Warning string
	Notes         []string
	At            time.Time
}

// showHome shows what is there, whether it is healthy, and how to push.
func showHome(q *request) (*answer, error) {
	view := &home{Signed: q.signedIn(), Pushes: q.signedIn() || q.mayRepository("app", auth.Push),
		Commands: q.firstPush(), SignIn: q.page.signInURL(q.page.opts.Path)}
	err := together(
		func() (err error) { view.repositories, err = q.repositories(""); return err },
		func() (err error) { view.Namespaces, err = q.namespaces("", shownNamespaces); return err },
		func() (err error) { view.Total, err = q.totalUsage(); return err },
		func() (err error) { view.Quota, err = q.ownQuota(); return err },
		func() (err error) { view.Health, err = q.health(); return err },
	)
	return q.show(q.language.Text("Repositories"), view), err
}

// together calls functions at the same time.
func together(functions ...func() error) error {
	return parallel.Each(len(functions), len(functions), func(i int) error { return functions[i]() })
}

// repositories returns a page of the repositories with a prefix, or of all. A page of the API can be
// empty if the caller sees few of many repositories; then the next ones are read.
func (q *request) repositories(prefix string) (r repositories, err error) {
	page := q.listPage()
	if page.After != "" {
		r.First = q.listURL("after", "")
	}
	for range listedPages {
		list, err := collect(q.visitor.OnPage(page).Repositories(q.Context(), &client.RepositoriesOptions{Namespace: prefix}))
		if err != nil {
			return r, err
		}
		r.Rows = append(r.Rows, list...)
		if page.Next == "" || len(r.Rows) > 0 {
			break
		}
		page.After = page.Next
	}
	r.Next = q.next(page)
	for i := range r.Rows {
		row := &r.Rows[i]
		r.Pulled = r.Pulled || !row.Pulled.IsZero()
		r.Sized = r.Sized || row.Size != nil
		r.Pushed = r.Pushed || !row.Pushed.IsZero()
	}
	return r, nil
}

// namespaces returns the first prefixes directly below a prefix, or nil if the API does not have them.
func (q *request) namespaces(prefix string, limit int) (*namespaces, error) {
	if !q.page.api.Has("search") {
		return nil, nil
	}
	page := &client.Page{Limit: limit}
	list, err := q.visitor.Namespaces(q.Context(), prefix, page)
	if err != nil {
		return nil, err
	}
	n := &namespaces{NamespaceList: list, Prefix: prefix}
	if page.Next != "" && q.has("namespaces") {
		n.All = q.page.path("namespaces")
		if prefix != "" {
			n.All = withParams(n.All, "prefix", prefix)
		}
	}
	return n, nil
}

// Deeper returns the prefixes that have a repository below their own name.
func (n *namespaces) Deeper() (list []types.Namespace) {
	for _, one := range n.Items {
		if !one.Repository || one.Repositories > 1 {
			list = append(list, one)
		}
	}
	return list
}

// totalUsage returns the usage of the whole registry, if the sender may read it and it was counted.
func (q *request) totalUsage() (*types.Usage, error) {
	if !q.page.api.Has("usage") || !q.mayRegistry(auth.NameUsage, auth.Read) {
		return nil, nil
	}
	u, err := q.visitor.Usage(q.Context(), "")
	if notCounted(err) || absent(err) {
		return nil, nil
	}
	return &u, err
}

// ownQuota returns how much of its quota the namespace of the sender uses, if it has one.
func (q *request) ownQuota() (*ownQuota, error) {
	name := q.visitor.Identity().Name
	if !q.page.api.Has("quota") || !q.mayAccount(name, auth.Read) {
		return nil, nil
	}
	u, err := q.visitor.Quota(q.Context(), name)
	if absent(err) || err == nil && u.Max.Bytes == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &ownQuota{Prefix: name, Used: u.Used.Bytes, Max: u.Max.Bytes}, nil
}

// showNamespaces lists all prefixes directly below a prefix.
func showNamespaces(q *request) (*answer, error) {
	prefix := q.value("prefix")
	page := q.listPage()
	list, err := q.visitor.Namespaces(q.Context(), prefix, page)
	if err != nil {
		return nil, err
	}
	view := struct {
		*namespaces
		First, Next string
	}{&namespaces{NamespaceList: list, Prefix: prefix}, "", q.next(page)}
	if page.After != "" {
		view.First = q.listURL("after", "")
	}
	return q.show(q.language.Text("Namespaces"), view), nil
}

// namespaceView is what the template "namespace" shows.
type namespaceView struct {
	repositories
	Prefix     string
	Namespaces *namespaces
	// Usage, Robots and Organisation are URLs of further views of the namespace, or "".
	Usage, Robots, Organisation string
	Commands                    []string
}

// showNamespace shows the namespaces and repositories below a prefix. What the sender may not see is as absent as what
// does not exist.
func showNamespace(q *request) (*answer, error) {
	prefix := q.param("prefix")
	if registry.CheckName(prefix) != nil {
		return nil, errNotFound
	}
	view := &namespaceView{Prefix: prefix}
	err := together(
		func() (err error) { view.repositories, err = q.repositories(prefix); return err },
		func() (err error) { view.Namespaces, err = q.namespaces(prefix, shownNamespaces); return err },
	)
	if err != nil {
		return nil, err
	}
	own := !strings.Contains(prefix, "/") && q.mayAccount(prefix, auth.Read)
	if len(view.Rows) == 0 && view.Next == "" && view.First == "" {
		if !own {
			return nil, errNotFound
		}
		view.Commands = q.pushCommands(prefix + "/app")
	}
	q.linkNamespace(view, own)
	return q.show(prefix, view), nil
}

// linkNamespace sets the links to further views of a namespace. own reports whether the sender may read its account.
func (q *request) linkNamespace(view *namespaceView, own bool) {
	first, _, _ := strings.Cut(view.Prefix, "/")
	if q.has("usage") && (q.mayAccount(first, auth.Manage) || q.mayRegistry(auth.NameUsage, auth.Read)) {
		view.Usage = withParams(q.page.path("usage"), "prefix", view.Prefix)
	}
	if own && q.has("robots") {
		view.Robots = q.page.path("robots", view.Prefix)
	}
	if own && q.has("organisation") && slices.Contains(q.visitor.Identity().Groups, view.Prefix) {
		view.Organisation = q.page.path("organisations", view.Prefix)
	}
}
