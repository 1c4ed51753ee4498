package web

import (
	"errors"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
)

// manifestsView is what the templates "artifacts" and "untagged" show.
type manifestsView struct {
	*repositoryHead
	Rows        []manifestRow
	First, Next string
	// Deletable reports whether the sender may delete manifests.
	Deletable bool
}

// manifestRow is a row of a table of manifests.
type manifestRow struct {
	types.ManifestSummary
	Kind          kind
	Platforms     []string
	MorePlatforms int
}

// showArtifacts shows the artifacts of a repository: what is no image, and what refers to an image.
func showArtifacts(q *request) (*answer, error) {
	return q.showManifests("artifacts", "artifact", "Artifacts of %s")
}

// showUntagged shows the manifests of a repository that no tag leads to.
func showUntagged(q *request) (*answer, error) {
	return q.showManifests("untagged", "untagged", "Untagged images of %s")
}

// showManifests shows the manifests of one kind in a tab. title is in English, with the name of the repository.
func (q *request) showManifests(tab, kind, title string) (*answer, error) {
	h, err := q.repositoryHead(tab)
	if err != nil {
		return nil, err
	}
	v := &manifestsView{repositoryHead: h, Deletable: h.Deletes && q.has("delete")}
	if h.Repository.Exists {
		page := q.listPage()
		list, err := q.fullPage(h.Name, kind, page)
		if err != nil && !errors.Is(err, client.ErrNotFound) {
			return nil, unlessDenied(err)
		}
		for i := range list {
			row := manifestRow{ManifestSummary: list[i], Kind: kindOf(list[i].ArtifactType, list[i].MediaType)}
			row.Platforms, row.MorePlatforms = platformTexts(list[i].Platforms)
			v.Rows = append(v.Rows, row)
		}
		v.Next = q.next(page)
	}
	if q.values.Get("after") != "" {
		v.First = q.listURL("after", "")
	}
	return q.show(q.language.Text(title, h.Name), v), nil
}

// fullPage reads a page of manifests. The API examines a limited number of them at a time, so fullPage asks again while
// it has nothing to show, a few times.
func (q *request) fullPage(repo, kind string, page *client.Page) (list []types.ManifestSummary, err error) {
	const requests = 5
	for range requests {
		opts := &client.ManifestsOptions{Kind: kind}
		list, err = collect(q.visitor.OnPage(page).Manifests(q.Context(), repo, opts))
		if err != nil || len(list) > 0 || page.Next == "" {
			break
		}
		page.After = page.Next
	}
	return list, err
}
