package api

import (
	"context"
	"fmt"
	"slices"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// The permissions for the organisation in the path.
var (
	readOrganisation   = needs(auth.TypeAccount, "{organisation}", auth.Read)
	manageOrganisation = needs(auth.TypeAccount, "{organisation}", auth.Manage)
)

// organisationRoutes are the routes of the part organisations. Members read their organisation, and owners change it.
// Only admins disable it: otherwise an owner could enable it again.
func (a *API) organisationRoutes() []route {
	const (
		organisation = "/v1/organisations/{organisation}"
		owner        = organisation + "/owners/{user}"
		member       = organisation + "/members/{user}"
	)
	return []route{
		{method: "GET", path: "/v1/organisations", access: signedIn, handle: listOrganisations},
		{method: "POST", path: "/v1/organisations", access: forced(createsOrganisations), handle: createOrganisation},
		{method: "GET", path: organisation, access: readOrganisation, handle: getOrganisation},
		{method: "PATCH", path: organisation, access: manageOrganisation, conditional: true, handle: updateOrganisation},
		{method: "DELETE", path: organisation, access: deletesOrganisation, conditional: true, handle: deleteOrganisation},
		{method: "POST", path: organisation + "/rename", access: forced(manageOrganisation), handle: renameOrganisation},
		{method: "POST", path: organisation + "/release", access: forced(manageOrganisation),
			handle: releaseOrganisationName},
		{method: "POST", path: organisation + "/disable", access: manageAccounts, handle: disableOrganisation},
		{method: "POST", path: organisation + "/enable", access: manageAccounts, handle: enableOrganisation},
		{method: "GET", path: organisation + "/owners", access: readOrganisation, handle: listOwners},
		{method: "PUT", path: owner, access: manageOrganisation, handle: addOwner},
		{method: "DELETE", path: owner, access: manageOrganisation, handle: removeOwner},
		{method: "GET", path: organisation + "/members", access: readOrganisation, handle: listMembers},
		{method: "GET", path: member, access: readOrganisation, handle: getMember},
		{method: "PUT", path: member, access: manageOrganisation, handle: addMember},
		{method: "DELETE", path: member, access: leavesOrganisation, handle: removeMember},
	}
}

// createsOrganisations lets users create organisations, unless the host permits only admins to do so. It asks whether
// the caller may manage the own account, so robots and tokens with scopes are refused.
func createsOrganisations(q *request) ([]auth.Access, error) {
	if q.api.opts.AdminsCreateOrganisations {
		return manageAccounts(q)
	}
	if _, err := signedIn(q); err != nil {
		return nil, err
	}
	return []auth.Access{{Type: auth.TypeAccount, Name: q.caller.Identity().Name, Action: auth.Manage}}, nil
}

// organisationOf returns an organisation as the API shows it.
func organisationOf(acc *accounts.Account) types.Organisation {
	return types.Organisation{
		ID: string(acc.ID), Name: acc.Name, FormerNames: acc.Former, FullName: acc.FullName, Email: acc.Email,
		Visibility: visibilityOf(acc), Created: acc.Created.UTC(), Disabled: markOf(acc.Disabled),
	}
}

// matchOrganisation is match for Actor.If.
func (q *request) matchOrganisation(current *accounts.Account) error {
	return q.match(organisationOf(current))
}

// organisation returns the organisation in the path.
//
// Errors: 404.
func (q *request) organisation() (*accounts.Account, error) {
	return q.accountAt("organisation", accounts.Organisation)
}

func listOrganisations(q *request) (*response, error) {
	if err := q.only("limit", "after"); err != nil {
		return nil, err
	}
	all, err := q.caller.Allows(q.Context(),
		auth.Access{Type: auth.TypeRegistry, Name: auth.NameAccounts, Action: auth.Read})
	if err != nil {
		return nil, err
	}
	var page []*accounts.Account
	var next string
	if all {
		page, next, err = q.accountPage(q.api.opts.Accounts.ListOrganisations, func(*accounts.Account) bool { return true })
	} else {
		page, next, err = q.ownOrganisations()
	}
	if err != nil {
		return nil, err
	}
	list := types.OrganisationList{Items: make([]types.Organisation, len(page))}
	for i, acc := range page {
		list.Items[i] = organisationOf(acc)
	}
	return &response{body: list, next: next}, nil
}

// ownOrganisations returns a page of the organisations that the caller is a member of and may read, by name.
func (q *request) ownOrganisations() (page []*accounts.Account, next string, err error) {
	after, limit, err := q.page()
	if err == nil {
		err = checkCursor(after)
	}
	if err != nil {
		return nil, "", err
	}
	names, err := q.memberships()
	if err != nil {
		return nil, "", err
	}
	for _, name := range names {
		if name <= after {
			continue
		}
		if len(page) == limit {
			return page, page[limit-1].Name, nil
		}
		acc, err := q.readableOrganisation(name)
		if err != nil {
			return nil, "", err
		}
		if acc != nil {
			page = append(page, acc)
		}
	}
	return page, "", nil
}

// readableOrganisation returns an organisation of the caller, or nil if the caller may not read it or it was removed or
// renamed meanwhile.
func (q *request) readableOrganisation(name string) (*accounts.Account, error) {
	ok, err := q.caller.Allows(q.Context(), auth.Access{Type: auth.TypeAccount, Name: name, Action: auth.Read})
	if err != nil || !ok {
		return nil, err
	}
	acc, err := q.api.opts.Accounts.Find(q.Context(), name)
	if err != nil || acc.Name != name || acc.Kind != accounts.Organisation {
		return nil, unlessUnknown(err)
	}
	return acc, nil
}

func createOrganisation(q *request) (*response, error) {
	by, err := q.change("reason", "force")
	if err != nil {
		return nil, err
	}
	var body types.NewOrganisation
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	owner, err := q.newOwner(body.Owner)
	if err != nil {
		return nil, err
	}
	acc, err := q.api.opts.Accounts.CreateOrganisation(q.Context(), by, body.Name, owner, &accounts.UserOptions{
		Profile: accounts.Profile{FullName: body.FullName, Email: body.Email,
			Visibility: accounts.Visibility(body.Visibility)},
	})
	if err != nil {
		return nil, err
	}
	return created("/v1/organisations/"+acc.Name, organisationOf(acc)), nil
}

// newOwner returns the first owner of a new organisation: the user with a name, or the caller if the name is "".
//
// Errors: 403 for a name other than that of the caller, unless the caller may manage all accounts; 400.
func (q *request) newOwner(name string) (accounts.ID, error) {
	identity := q.caller.Identity()
	if id := accountID(&identity); id != "" && (name == "" || name == identity.Name) {
		return id, nil
	}
	if name == "" {
		return "", errInvalid.WithMessage("owner is required, because the caller has no account")
	}
	all, err := q.caller.Allows(q.Context(),
		auth.Access{Type: auth.TypeRegistry, Name: auth.NameAccounts, Action: auth.Manage})
	if err != nil {
		return "", err
	}
	if !all {
		return "", registry.ErrDenied.WithMessage("only admins create organisations for others")
	}
	user, err := q.api.opts.Accounts.Find(q.Context(), name)
	if err != nil || user.Kind != accounts.User || user.Name != name {
		if err = unlessUnknown(err); err == nil {
			err = errInvalid.WithMessage("the owner is not a user")
		}
		return "", err
	}
	return user.ID, nil
}

func getOrganisation(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	acc, err := q.organisation()
	if err != nil {
		return nil, err
	}
	return found(organisationOf(acc)), nil
}

// changeOrganisation makes a change of the organisation in the path. The change must use the Actor, which has the
// condition.
func changeOrganisation(q *request,
	change func(ctx context.Context, by accounts.Actor, id accounts.ID) (*accounts.Account, error),
	params ...string) (*response, error) {
	by, err := q.change(params...)
	if err != nil {
		return nil, err
	}
	acc, err := q.organisation()
	if err != nil {
		return nil, err
	}
	by.If = q.matchOrganisation
	if acc, err = change(q.Context(), by, acc.ID); err != nil {
		return nil, err
	}
	return found(organisationOf(acc)), nil
}

func updateOrganisation(q *request) (*response, error) {
	var body types.ProfileChange
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return changeOrganisation(q, func(ctx context.Context, by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		return q.api.opts.Accounts.Update(ctx, by, id, func(p *accounts.Profile) error {
			applyProfile(p, &body)
			return nil
		})
	}, "reason")
}

func renameOrganisation(q *request) (*response, error) {
	var body types.Name
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return changeOrganisation(q, func(ctx context.Context, by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		return q.api.opts.Accounts.Rename(ctx, by, id, body.Name)
	}, "reason", "force")
}

func releaseOrganisationName(q *request) (*response, error) {
	var body types.Name
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return changeOrganisation(q, func(ctx context.Context, by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		return q.api.opts.Accounts.Release(ctx, by, id, body.Name)
	}, "reason", "force")
}

func disableOrganisation(q *request) (*response, error) {
	return changeOrganisation(q, q.api.opts.Accounts.Disable, "reason")
}

func enableOrganisation(q *request) (*response, error) {
	return changeOrganisation(q, q.api.opts.Accounts.Enable, "reason")
}

// deletesOrganisation is manageOrganisation. The parameter repositories=keep is for callers who manage all accounts,
// because nobody else has access to the repositories afterwards.
func deletesOrganisation(q *request) ([]auth.Access, error) {
	accesses, err := manageOrganisation(q)
	if err == nil && slices.Contains(q.URL.Query()["repositories"], "keep") {
		accesses = append(accesses, auth.Access{Type: auth.TypeRegistry, Name: auth.NameAccounts, Action: auth.Manage})
	}
	return accesses, err
}

func deleteOrganisation(q *request) (*response, error) {
	by, err := q.change("reason", "repositories")
	if err != nil {
		return nil, err
	}
	what := q.query.Get("repositories")
	if q.query.Has("repositories") && what != "delete" && what != "keep" {
		return nil, errInvalid.WithMessage(`repositories must be "delete" or "keep"`)
	}
	acc, err := q.organisation()
	if err == nil {
		err = q.matchOrganisation(acc) // before repositories are deleted
	}
	if err == nil && what != "keep" {
		err = q.emptyNamespace(acc, what == "delete")
	}
	if err != nil {
		return nil, err
	}
	by.If = q.matchOrganisation
	if err := q.api.opts.Accounts.Remove(q.Context(), by, acc.ID); err != nil {
		return nil, err
	}
	return done(), nil
}

// unlessUnknown returns err, or nil for an error that says that there is no such account.
func unlessUnknown(err error) error {
	if wireError(err).Code() == errNotFound.Code() {
		return nil
	}
	return err
}

// nameOf returns the current name of an account, or "" if it was removed.
func (q *request) nameOf(id accounts.ID) (string, error) {
	acc, err := q.api.opts.Accounts.Account(q.Context(), id)
	switch {
	case err != nil:
		return "", unlessUnknown(err)
	case acc.Removed != nil:
		return "", nil
	}
	return acc.Name, nil
}

func inUse(format string, args ...any) error {
	return errInUse.WithMessage(fmt.Sprintf(format, args...))
}
