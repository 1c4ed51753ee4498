package api

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/usage"
)

// Limits of the work for a page of repositories or tags. At a limit, the page ends, and the next
// one continues there.
const (
	maxScanned  = 1 << 14 // names
	maxScanTime = 20 * time.Millisecond
	atOnce      = 8 // reads of settings or tags at the same time
)

// readCatalog is the access to the list of repositories.
var readCatalog = needs(auth.TypeRegistry, auth.NameCatalog, auth.All)

// onRepository is the access for an action on the repository in the path.
func onRepository(action auth.Action) access {
	return needs(auth.TypeRepository, "{repository}", action)
}

// repositoryRoutes are the routes of the part repositories.
func (a *API) repositoryRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/repositories", access: readCatalog, handle: a.listRepositories},
		{method: "GET", path: "/v1/repositories/{repository}", access: onRepository(auth.Pull), handle: a.getRepository},
		{method: "DELETE", path: "/v1/repositories/{repository}", access: onRepository(auth.Delete), conditional: true,
			handle: a.deleteRepository},
	}
}

func (a *API) listRepositories(q *request) (*response, error) {
	if err := q.only("namespace", "q", "limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	prefixes := []string{""}
	if namespace := q.query.Get("namespace"); namespace != "" {
		if err := registry.CheckName(namespace); err != nil {
			return nil, err
		}
		// Between a repository and those below it there may be others, such as "acme-x" after
		// "acme".
		prefixes = []string{namespace, namespace + "/"}
	}
	text, err := q.text("q", reference.MaxNameLength)
	if err != nil {
		return nil, err
	}
	names, next, err := a.collect(scanRepositories(q, prefixes, after, limit), text, limit)
	if err != nil {
		return nil, err
	}
	list := types.RepositoryList{Items: make([]types.RepositorySummary, len(names))}
	err = parallel.Each(atOnce, len(names), func(i int) (err error) {
		list.Items[i], err = a.summary(q.Context(), names[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	return &response{body: list, next: next}, a.addUsage(q.Context(), list.Items)
}

// scanRepositories yields the repositories with one of the prefixes, which are in ascending order.
// A prefix that does not end in "/" is a name, and yields no other one.
func scanRepositories(q *request, prefixes []string, after string, hint int) iter.Seq2[registry.Scanned, error] {
	return func(yield func(registry.Scanned, error) bool) {
		for _, prefix := range prefixes {
			exact := prefix != "" && !strings.HasSuffix(prefix, "/")
			if exact && after >= prefix {
				continue
			}
			opts := &registry.ScanOptions{After: after, Prefix: prefix, PageHint: hint + 1}
			for s, err := range q.caller.ScanRepositories(q.Context(), opts) {
				if err == nil && exact && s.Name != prefix {
					break
				}
				if !yield(s, err) || err != nil {
					return
				}
			}
		}
	}
}

// collect returns the first visible names of a list that contain a text, at most limit, and the
// position of the next page.
func (a *API) collect(list iter.Seq2[registry.Scanned, error], text string, limit int) (names []string, next string,
	err error) {
	examined, started := 0, time.Now()
	for s, err := range list {
		if err != nil {
			return nil, "", err
		}
		found := s.Visible && strings.Contains(s.Name, text)
		if found && len(names) == limit {
			return names, names[limit-1], nil
		}
		if found {
			names = append(names, s.Name)
		}
		if examined++; examined >= a.scanned || examined%16 == 0 && time.Since(started) > maxScanTime {
			return names, s.Name, nil
		}
	}
	return names, "", nil
}

// summary returns a repository as an element of a list, without its size.
func (a *API) summary(ctx context.Context, name string) (types.RepositorySummary, error) {
	r := types.RepositorySummary{Name: name}
	if a.opts.Search != nil {
		if f, ok := a.opts.Search.Figures(name); ok {
			tags := int64(f.Tags)
			r.Tags, r.Pushed = &tags, instant(f.Pushed)
		}
	}
	pulls, err := a.pullTimes(ctx, name)
	if err != nil {
		return r, err
	}
	r.Pulled = lastPull(pulls)
	if r.Public, err = a.public(ctx, name); err != nil || a.opts.Accounts == nil {
		return r, err
	}
	settings, err := a.opts.Accounts.Repository(ctx, name)
	if err != nil {
		return r, err
	}
	r.Summary = settings.Summary()
	return r, nil
}

// addUsage adds the sizes at the last count to the elements of a list, and the numbers of tags that are not known yet.
func (a *API) addUsage(ctx context.Context, list []types.RepositorySummary) error {
	if a.opts.Usage == nil || len(list) == 0 {
		return nil
	}
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	reports, err := a.opts.Usage.Reports(ctx, names)
	if errors.Is(err, usage.ErrNotCounted) {
		return nil
	}
	for i := range list {
		if report, ok := reports[list[i].Name]; ok && report.Repository {
			r := &list[i]
			r.Size, r.Counted = &report.Own.Logical, report.Counted.UTC()
			if r.Tags == nil {
				r.Tags = &report.Own.Tags
			}
		}
	}
	return err
}

// public reports whether callers without a login may pull from a repository.
func (a *API) public(ctx context.Context, name string) (bool, error) {
	pull := auth.Access{Type: auth.TypeRepository, Name: name, Action: auth.Pull}
	return a.registry.Allows(ctx, auth.Identity{}, pull)
}

func (a *API) getRepository(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	name := q.param("repository")
	settings, err := a.settings(q.Context(), name)
	if err != nil {
		return nil, err
	}
	r, err := a.repository(q, settings)
	return &response{body: r, tagged: true, version: settings}, err
}

// settings returns the settings of a repository. They are the version of the repository, for its
// ETag.
func (a *API) settings(ctx context.Context, name string) (accounts.Repository, error) {
	if a.opts.Accounts == nil {
		return accounts.Repository{Name: name}, nil
	}
	settings, err := a.opts.Accounts.Repository(ctx, name)
	if err != nil {
		return accounts.Repository{}, err
	}
	return *settings, nil
}

// repository returns the repository with the settings.
func (a *API) repository(q *request, settings accounts.Repository) (types.Repository, error) {
	r := types.Repository{
		Name: settings.Name, Visibility: string(settings.Visibility), Description: settings.Description,
	}
	var err error
	if r.Exists, err = exists(q, r.Name); err != nil {
		return r, err
	}
	if r.Public, err = a.public(q.Context(), r.Name); err != nil {
		return r, err
	}
	pulls, err := a.pullTimes(q.Context(), r.Name)
	if err != nil {
		return r, err
	}
	r.Pulled = lastPull(pulls)
	if a.opts.Usage == nil {
		return r, nil
	}
	r.Usage, err = a.ownUsage(q, r.Name)
	if errors.Is(err, usage.ErrNotCounted) || errors.Is(err, registry.ErrNameUnknown) {
		err = nil
	}
	return r, err
}

// exists reports whether a repository has content. The caller may pull from it.
func exists(q *request, name string) (bool, error) {
	for _, err := range q.caller.Backend().Tags(q.Context(), name, &registry.ListOptions{PageHint: 1}) {
		if errors.Is(err, registry.ErrNameUnknown) {
			return false, nil
		}
		return err == nil, err
	}
	return true, nil // without tags
}

// deleteRepository needs no lock for If-Match: the ETag is that of the settings, which stay.
func (a *API) deleteRepository(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	name := q.param("repository")
	settings, err := a.settings(q.Context(), name)
	if err != nil {
		return nil, err
	}
	if err := q.match(settings); err != nil {
		return nil, err
	}
	return done(), q.caller.Backend().DeleteRepository(q.Context(), name, nil)
}
