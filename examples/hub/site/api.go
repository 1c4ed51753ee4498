package site

import (
	"context"

	"github.com/registrykit/registry/api"
)

// openAPI makes the management API. Its callers have a session, or the same credentials as for pushes.
func (h *Hub) openAPI(context.Context) (err error) {
	inventory := h.store.Inventory()
	opts := &api.Options{
		Authenticator: h.sessions.Authenticator(h.users), Realm: "hub", Logger: h.log, Tags: inventory, Protects: h.protects,
		AdminsCreateOrganisations: !h.config.Accounts.CreateOrganisations,
		Parts: api.Parts{
			Accounts: h.people, SignUp: h.signUps, Sessions: h.sessions, Search: h.index, Rules: h.config.Access.Rules,
			Usage: h.meter, Quotas: h.quotas, Retention: h.planner, Scrub: h.driver, Webhooks: h.hooks, Jobs: h.runner,
			Mirror: h.mirror, Audit: h.trail, Bin: inventory,
		},
	}
	if h.pulls != nil {
		opts.Pulls = h.pulls
	}
	h.api, err = api.New(h.registry, opts)
	return err
}
