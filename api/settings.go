package api

import (
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// settingsRoutes are the routes of the part settings.
func (a *API) settingsRoutes() []route {
	return []route{
		{method: "PATCH", path: "/v1/repositories/{repository}", conditional: true,
			access: all(onRepository(auth.Manage), onRepository(auth.Pull)), handle: a.updateRepository},
	}
}

func (a *API) updateRepository(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	var body types.RepositoryChange
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	change := func(r *accounts.Repository) error {
		if err := q.match(*r); err != nil {
			return err
		}
		if body.Visibility != nil {
			r.Visibility = accounts.Visibility(*body.Visibility)
		}
		set(&r.Description, body.Description)
		return nil
	}
	settings, err := a.opts.Accounts.UpdateRepository(q.Context(), by, q.param("repository"), change)
	if err != nil {
		return nil, err
	}
	r, err := a.repository(q, *settings)
	return &response{body: r, tagged: true, version: *settings}, err
}
