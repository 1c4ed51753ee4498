package web

import (
	"slices"
	"strings"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// repositoryViews are the views of a repository: its tags, artifacts, untagged manifests and history.
func repositoryViews() []view {
	const path = "/repositories/{repo}"
	return []view{
		{name: "repository", method: "GET", path: path, part: "tags", handle: showTags},
		{name: "artifacts", method: "GET", path: path + "/-/artifacts", part: "manifests", handle: showArtifacts},
		{name: "untagged", method: "GET", path: path + "/-/untagged", part: "manifests", handle: showUntagged},
		{name: "history", method: "GET", path: path + "/-/history", part: "history", handle: showHistory},
	}
}

// repositoryHead is what all views of a repository show above their content.
type repositoryHead struct {
	Name       string
	Repository types.Repository
	Version    client.Version
	Notice     *notice
	Tabs       []menuItem
	// Registry is the host of the registry in commands.
	Registry string
	// Pushed is the last change that set a tag, or nil.
	Pushed *types.Change
	// Shared is the size of what other repositories have, too. It is known to callers with read access to all usage.
	Shared int64
	// Usage is the URL of the usage of the repository, or "".
	Usage string
	// Settings is the URL of the settings for those who may change them, or "".
	Settings string
	// PushCommands push the first image of a repository that does not exist yet.
	PushCommands []string
	// Pushes and Deletes report whether the sender may push and delete.
	Pushes, Deletes bool
}

// Pull returns the command that pulls the image with a tag, or with the default tag for "".
func (h *repositoryHead) Pull(tag string) string {
	name := "docker pull " + h.Registry + "/" + h.Name
	if tag != "" {
		name += ":" + tag
	}
	return name
}

// repositoryHead reads what all views of the repository in the path show. tab is the name of the view.
//
// Errors: errNotFound for a repository that the sender may not see, and for one that is not there and that the sender
// could not push to.
func (q *request) repositoryHead(tab string) (*repositoryHead, error) {
	h := &repositoryHead{Name: q.param("repo"), Registry: q.registryHost()}
	var err error
	if h.Repository, h.Version, err = q.visitor.Repository(q.Context(), h.Name); err != nil {
		return nil, unlessDenied(err)
	}
	h.Pushes, h.Deletes = q.mayRepository(h.Name, auth.Push), q.mayRepository(h.Name, auth.Delete)
	manages := q.mayRepository(h.Name, auth.Manage)
	if !h.Repository.Exists && !h.Pushes && !manages {
		return nil, errNotFound
	}
	if !h.Repository.Exists {
		h.PushCommands = q.pushCommands(h.Name)
	} else {
		if h.Pushed, err = q.lastPush(h.Name); err != nil {
			return nil, err
		}
	}
	if u := h.Repository.Usage; u != nil {
		if u.Figures.Exclusive != nil {
			h.Shared = max(u.Figures.Physical-*u.Figures.Exclusive, 0)
		}
		namespace, _, _ := strings.Cut(h.Name, "/")
		if q.has("usage") && (q.mayRegistry(auth.NameUsage, auth.Read) || q.mayAccount(namespace, auth.Manage)) {
			h.Usage = withParams(q.page.path("usage"), "prefix", h.Name)
		}
	}
	if manages && q.has("settings") {
		h.Settings = q.page.repo(h.Name, "settings")
	}
	h.Notice, h.Tabs = q.repositoryNotice(h.Name), q.repositoryTabs(h.Name, tab, manages)
	return h, nil
}

// repositoryTabs returns the tabs of a repository.
func (q *request) repositoryTabs(name, current string, manages bool) []menuItem {
	t := q.language.Text
	var tabs []menuItem
	for _, one := range []struct {
		shown       bool
		view, title string
		path        []string
	}{
		{true, "repository", t("Tags"), nil},
		{true, "artifacts", t("Artifacts"), []string{"artifacts"}},
		{true, "untagged", t("Untagged"), []string{"untagged"}},
		{true, "history", t("History"), []string{"history"}},
		{manages, "settings", t("Settings"), []string{"settings"}},
	} {
		if one.shown && q.has(one.view) {
			tabs = append(tabs, tab(one.title, q.page.repo(name, one.path...), one.view == current))
		}
	}
	return tabs
}

// repositoryNotice returns the notice after a change of a repository, or nil.
func (q *request) repositoryNotice(repo string) *notice {
	if n := q.changeNotice(repo); n != nil {
		return n
	}
	return q.notice(map[string]string{"saved": "The settings are saved."})
}

// lastPush returns the last change that set a tag, or nil if the newest changes are others, or no history is kept.
func (q *request) lastPush(repo string) (*types.Change, error) {
	const changes = 10
	page := &client.Page{Limit: changes}
	list, err := collect(q.visitor.OnPage(page).History(q.Context(), repo, ""))
	if unsupported(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(c types.Change) bool { return c.Change == "tag" && !c.Unconfirmed })
	if i < 0 {
		return nil, nil
	}
	return &list[i], nil
}

// platformText returns the platform of an image, such as "linux/arm64/v8".
func platformText(p types.Platform) string {
	parts := slices.DeleteFunc([]string{p.OS, p.Architecture, p.Variant}, func(s string) bool { return s == "" })
	text := strings.Join(parts, "/")
	if p.OSVersion != "" && p.OS == "windows" {
		text += " " + p.OSVersion
	}
	return text
}

// platformTexts returns the platforms of an image, each once, and the number of those that are left out.
func platformTexts(platforms []types.Platform) (texts []string, more int) {
	const shown = 6
	for _, p := range platforms {
		if text := platformText(p); text != "" && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	if len(texts) > shown {
		texts, more = texts[:shown-1], len(texts)-shown+1
	}
	return texts, more
}
