package web

import (
	"html/template"
	"strings"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/web/internal/markdown"
)

// settingsViews are the views of the settings of a repository.
func settingsViews() []view {
	const path = "/repositories/{repo}/-/settings"
	return []view{
		{name: "settings", method: "GET", path: path, part: "settings", handle: showSettings},
		{name: "settings", method: "POST", path: path, part: "settings", handle: changeSettings},
	}
}

// maxDescription is the maximum size of a description, in bytes.
const maxDescription = 48 << 10

// settingsView is what the template "settings" shows.
type settingsView struct {
	*repositoryHead
	Form         *entry
	Visibilities []option
	// Preview is the description that was typed, as HTML, if the sender wants to see it.
	Previewed bool
	Preview   template.HTML
	// Webhooks, Robots and Delete are URLs, or "". Namespace is that of the robots.
	Webhooks, Robots, Delete string
	Namespace                string
}

// showSettings shows the settings of a repository.
func showSettings(q *request) (*answer, error) {
	h, err := q.repositoryHead("settings")
	if err != nil {
		return nil, err
	}
	if err := q.need(q.mayRepository(h.Name, auth.Manage)); err != nil {
		return nil, err
	}
	r, t := &h.Repository, q.language.Text
	namespace, _, _ := strings.Cut(h.Name, "/")
	v := &settingsView{repositoryHead: h, Previewed: q.values.Has("preview"),
		Form: q.entry("settings", h.Version, "description", r.Description, "visibility", r.Visibility),
		Visibilities: []option{{"", q.inherited(r)}, {"public", t("Public: everybody may pull, also without an account")},
			{"private", t("Private: only members may pull")}}}
	if v.Previewed {
		v.Preview = markdown.HTML(v.Form.Value("description"))
	}
	if q.has("webhooks") {
		v.Webhooks = withParams(q.page.path("webhooks"), "scope", "repository:"+h.Name)
	}
	if q.has("robots") && q.mayAccount(namespace, auth.Manage) {
		v.Namespace, v.Robots = namespace, q.page.path("robots", namespace)
	}
	if h.Repository.Exists && h.Deletes && q.has("delete") {
		v.Delete = q.page.repo(h.Name, "delete")
	}
	return q.show(t("Settings of %s", h.Name), v), nil
}

// inherited returns the text for a repository without a visibility of its own. It says which one
// that is, if it is known.
func (q *request) inherited(r *types.Repository) string {
	switch {
	case r.Visibility != "":
		return q.language.Text("As the namespace says")
	case r.Public:
		return q.language.Text("As the namespace says: now public")
	}
	return q.language.Text("As the namespace says: now private")
}

// changeSettings changes the settings of a repository, or shows how the description would look.
func changeSettings(q *request) (*answer, error) {
	e := q.typed("settings")
	if q.values.Has("preview") {
		return showSettings(q)
	}
	description := strings.ReplaceAll(q.values.Get("description"), "\r\n", "\n") // as browsers send lines
	if len(description) > maxDescription {
		e.fail("description", q.language.Text("The description has more than 48 KiB."))
		return q.again(e, showSettings)
	}
	visibility := q.value("visibility")
	change := types.RepositoryChange{Description: &description, Visibility: &visibility}
	name := q.param("repo")
	if _, _, err := q.visitor.UpdateRepository(q.Context(), name, q.version(), change); err != nil {
		return q.refuse(e, unlessDenied(err), showSettings, "description", "visibility")
	}
	return q.to(q.page.repo(name, "settings"), "done", "saved"), nil
}
