package site

import (
	"context"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/search"
)

// openAPI makes the management API. Its callers have a session, or the same credentials as for pushes.
func (h *Hub) openAPI(context.Context) (err error) {
	h.index, err = search.New(h.backend, &search.Options{Accounts: h.people, Failed: h.report})
	if err != nil {
		return err
	}
	h.work = append(h.work, job{"the index of the search", h.index.Run})
	h.api, err = api.New(h.registry, &api.Options{
		Authenticator: h.sessions.Authenticator(h.users), Realm: "hub", Logger: h.log, Tags: h.store.Inventory(),
		AdminsCreateOrganisations: !h.config.Accounts.CreateOrganisations,
		Parts: api.Parts{
			Accounts: h.people, SignUp: h.signUps, Sessions: h.sessions, Search: h.index, Rules: h.config.Access.Rules,
			Usage: h.meter, Quotas: h.quotas, Retention: h.planner, Scrub: h.driver, Webhooks: h.hooks, Jobs: h.runner,
			Mirror: h.mirror, Audit: h.trail,
		},
	})
	return err
}
